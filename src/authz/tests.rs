//! What the loader refuses, and what an evaluation may never do.

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::{
    context::Caller,
    image::{Status, Visibility},
    rules::{Fault, Ruleset},
    wasm::Plugins,
};

fn files(files: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
    files.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect()
}

fn shipped() -> Vec<(String, Vec<u8>)> {
    Policies::shipped().into_iter().filter(|(name, _)| name.ends_with(".cedar")).collect()
}

/// A caller with these roles in project `blue`, under these policies.
pub(crate) fn context(policies: &[(String, Vec<u8>)], roles: &[&str]) -> Context {
    let policies = Policies::load(policies).unwrap();
    let rules = Ruleset {
        generation: 1,
        policies,
        plugins: Plugins::default(),
        digest: String::new(),
        loaded_at: Timestamp::now(),
    };
    let caller = Caller {
        user_id: "alice".into(),
        project_id: Some("blue".into()),
        project_domain_id: Some("default".into()),
        user_domain_id: Some("default".into()),
        roles: roles.iter().map(|r| (*r).to_owned()).collect(),
        ..Caller::default()
    };
    Context { request_id: "req-test".into(), caller, rules: Arc::new(rules), shadow: None, journal: Arc::default() }
}

/// The shipped policies, and one more file.
pub(crate) fn with_shipped(more: &str, roles: &[&str]) -> Context {
    let mut all = shipped();
    all.extend(files(&[("more.cedar", more)]));
    context(&all, roles)
}

pub(crate) fn image(owner: Option<&str>, visibility: Visibility) -> Image {
    Image {
        id: "6b0f3b5e-0000-4000-8000-000000000001".into(),
        name: Some("debian".into()),
        status: Status::Active,
        visibility,
        owner: owner.map(str::to_owned),
        protected: false,
        os_hidden: false,
        checksum: None,
        os_hash_algo: None,
        os_hash_value: None,
        size: Some(7),
        virtual_size: None,
        container_format: Some("bare".into()),
        disk_format: Some("raw".into()),
        min_disk: 0,
        min_ram: 0,
        tags: BTreeSet::new(),
        properties: [("os_distro", "debian"), ("licence_key", "s3")].map(|(k, v)| (k.into(), v.into())).into(),
        members: Vec::new(),
        locations: Vec::new(),
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
        version: 1,
    }
}

fn refused(sources: &[(&str, &str)]) -> Vec<Fault> {
    Policies::load(&files(sources)).err().expect("refused")
}

/// The one fault of one file: its line, and a part of its text.
#[track_caller]
fn refused_at(text: &str, line: usize, part: &str) {
    let faults = refused(&[("ok.cedar", "@id(\"ok\") permit (principal, action, resource);"), ("bad.cedar", text)]);
    let found = faults.iter().any(|f| f.file == "bad.cedar" && f.line == Some(line) && f.text.contains(part));
    assert!(found, "no fault at bad.cedar:{line} with `{part}` in {faults:?}");
}

#[test]
fn the_schema_knows_exactly_the_actions_of_the_code() {
    let policies = Policies::load(&shipped()).unwrap();
    let groups: BTreeSet<String> = ["read", "write"].map(str::to_owned).into();
    let schema: BTreeSet<String> = policies.schema().actions().map(|a| a.id().unescaped().to_owned()).collect();
    let code: BTreeSet<String> = Action::ALL.iter().map(|a| a.as_str().to_owned()).collect();
    assert_eq!(schema.difference(&groups).cloned().collect::<BTreeSet<_>>(), code);
    assert!(groups.is_subset(&schema));
}

#[test]
fn a_policy_that_errors_is_an_alarm_with_its_id() {
    let text = "@id(\"sum\") forbid (principal, action == Action::\"get_image\", resource) \
                when { resource has size && resource.size * 4 > 9 };";
    let ctx = with_shipped(text, &["reader"]);
    let huge = Image { size: Some(u64::MAX >> 1), ..image(Some("blue"), Visibility::Private) };
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let log = Log::default();
    let written = log.clone();
    let subscriber = tracing_subscriber::fmt().json().with_writer(move || written.clone()).finish();
    let fault = metrics::with_local_recorder(&recorder, || {
        tracing::subscriber::with_default(subscriber, || {
            check(&ctx, Action::GetImage, Resource::Image(&huge)).unwrap_err()
        })
    });
    assert_eq!(fault.kind(), Kind::Unavailable, "the forbid is not skipped");
    let metrics = recorder.handle().render();
    assert!(metrics.contains("fanlight_decision_faults_total{policy=\"sum\"} 1"), "{metrics}");
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.lines().any(|l| l.contains("ERROR") && l.contains("\"policy\":\"sum\"")), "{log}");
    let kept = ctx.journal.find(fault.decision().unwrap());
    let why = explain(&ctx.rules.policies, kept[0].question.as_ref().unwrap()).unwrap();
    assert!(why.reason.starts_with("`sum` (more.cedar:1) cannot be evaluated"), "{}", why.reason);
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_syntax_error_is_refused_with_its_line() {
    refused_at(
        "@id(\"a\")\npermit (principal, action, resource)\nwhen { principal.roles contains \"x\" };\n",
        3,
        "unexpected",
    );
}

#[test]
fn a_half_written_file_is_refused() {
    let whole = "@id(\"a\")\npermit (principal, action, resource) when {\n  principal has project\n};\n";
    for end in 1..whole.len() - 2 {
        let half = whole.get(..end).unwrap();
        assert!(Policies::load(&files(&[("a.cedar", half)])).is_err(), "{half}");
    }
}

#[test]
fn a_misspelt_attribute_is_refused() {
    refused_at(
        "// first\n\n@id(\"a\")\npermit (principal, action == Action::\"get_image\", resource) when {\n  resource.ownr == principal\n};",
        5,
        "ownr",
    );
}

#[test]
fn an_unknown_action_is_refused() {
    refused_at("@id(\"a\")\npermit (principal,\n  action == Action::\"get_imge\", resource);", 3, "get_imge");
}

#[test]
fn an_optional_attribute_without_has_is_refused() {
    refused_at(
        "@id(\"a\")\npermit (principal, action == Action::\"get_image\", resource)\nwhen { resource.owner == Project::\"p\" };",
        3,
        "owner",
    );
}

#[test]
fn a_wrong_type_is_refused() {
    refused_at(
        "@id(\"a\")\npermit (principal, action == Action::\"get_image\", resource)\nwhen { resource.visibility == 3 };",
        3,
        "type",
    );
}

#[test]
fn a_warning_of_the_validator_is_a_refusal() {
    refused_at(
        "@id(\"a\")\npermit (principal, action == Action::\"get_image\", resource)\nwhen { resource.protected && !true };",
        1,
        "impossible",
    );
}

#[test]
fn a_policy_without_an_id_is_refused() {
    refused_at("@id(\"a\")\npermit (principal, action, resource);\n\npermit (principal, action, resource);", 4, "@id");
    refused_at("\n@id(\"\")\npermit (principal, action, resource);", 2, "@id");
}

#[test]
fn an_id_that_is_taken_is_refused_and_says_by_whom() {
    refused_at("\n\n@id(\"ok\") permit (principal, action, resource);", 3, "ok.cedar:1");
    let twice = "@id(\"a\") permit (principal, action, resource);\n";
    refused_at(&twice.repeat(2), 2, "bad.cedar:1");
}

#[test]
fn a_template_is_refused() {
    refused_at("\n@id(\"a\")\npermit (principal == ?principal, action, resource);", 2, "template");
}

#[test]
fn every_fault_of_every_file_is_told_at_once() {
    let faults = refused(&[("a.cedar", "nonsense"), ("b.cedar", "permit (principal, action, resource);")]);
    let names: Vec<&str> = faults.iter().map(|f| f.file.as_str()).collect();
    assert_eq!(names, ["a.cedar", "b.cedar"]);
}

#[test]
fn no_policy_at_all_and_other_bytes_are_refused() {
    assert!(refused(&[])[0].text.contains("no policy"));
    assert!(refused(&[("empty.cedar", "// nothing\n")])[0].text.contains("no policy"));
    let latin = vec![("a.cedar".to_owned(), vec![0xff, 0xfe])];
    assert!(Policies::load(&latin).err().unwrap()[0].text.contains("UTF-8"));
}

#[test]
fn an_action_in_a_group_is_decided_by_rules_on_the_group() {
    let only_read = files(&[(
        "a.cedar",
        "@id(\"a\") permit (principal, action in Action::\"read\", resource) when { principal has project };",
    )]);
    let ctx = context(&only_read, &[]);
    let image = image(None, Visibility::Private);
    assert!(allows(&ctx, Action::GetImage, Resource::Image(&image)).unwrap());
    assert!(!allows(&ctx, Action::ModifyImage, Resource::Image(&image)).unwrap());
}

#[test]
fn only_a_slice_that_nothing_can_narrow_is_answered_without_evaluation() {
    let unconditional = |more: &str| {
        let ctx = with_shipped(more, &[]);
        let slice = ctx.rules.policies.slice(Action::ReadProperty, policies::Kind::Property).unwrap();
        slice.unconditional.clone()
    };
    assert_eq!(unconditional("").as_deref(), Some("properties.everybody"));
    assert_eq!(
        unconditional(
            "@id(\"x\") forbid (principal, action == Action::\"read_property\", resource == Property::\"k\");"
        ),
        None
    );
    assert_eq!(
        unconditional("@id(\"x\") forbid (principal, action, resource) when { principal.roles.contains(\"x\") };"),
        None
    );
    assert_eq!(
        unconditional("@id(\"x\") forbid (principal, action == Action::\"update_property\", resource);").as_deref(),
        Some("properties.everybody")
    );
}

#[test]
fn labels_of_a_store_and_the_image_for_it_can_be_ruled_on() {
    let more = r#"
        @id("gold") forbid (principal, action == Action::"place_image", resource)
        when { resource.hasTag("class") && resource.getTag("class") == "gold" }
        unless { context has image && context.image.visibility == "public" };
    "#;
    let ctx = with_shipped(more, &["member"]);
    let store = |class: &str| StoreFacts {
        id: "s1".into(),
        kind: "file".into(),
        labels: [("class".to_owned(), class.to_owned())].into(),
    };
    let may = |class: &str, image: Option<&Image>| {
        allows(&ctx, Action::PlaceImage, Resource::Store(&store(class), image)).unwrap()
    };
    assert!(may("bronze", None));
    assert!(!may("gold", None));
    assert!(!may("gold", Some(&image(Some("blue"), Visibility::Private))));
    assert!(may("gold", Some(&image(Some("blue"), Visibility::Public))));
}

#[test]
fn a_denial_hides_what_may_not_be_seen() {
    let ctx = context(&shipped(), &["reader", "member"]);
    let foreign = image(Some("green"), Visibility::Private);
    let hidden = check_image(&ctx, Action::ModifyImage, &foreign).unwrap_err();
    assert_eq!((hidden.kind(), hidden.message()), (Kind::NotFound, &*format!("No image found with ID {}", foreign.id)));
    assert!(hidden.decision().is_some());
    let public = image(Some("green"), Visibility::Public);
    let refused = check_image(&ctx, Action::ModifyImage, &public).unwrap_err();
    assert_eq!(
        (refused.kind(), refused.message()),
        (Kind::Forbidden, "You are not authorized to complete modify_image action.")
    );
    let permit = check_image(&ctx, Action::ModifyImage, &image(Some("blue"), Visibility::Private)).unwrap();
    assert!(permit.covers(&public.id).is_ok());
    assert!(permit.covers("another").is_err());
}

#[test]
fn an_action_on_the_wrong_type_is_a_defect_and_not_a_permission() {
    let ctx = context(&shipped(), &["admin"]);
    assert_eq!(check(&ctx, Action::PlaceImage, Resource::Service).unwrap_err().kind(), Kind::Internal);
    assert_eq!(check(&ctx, Action::System, Resource::Service).unwrap_err().kind(), Kind::Internal);
}

/// Passes strict validation and overflows on every image larger than one byte.
const OVERFLOW: &str = "resource has size && resource.size * 9223372036854775807 > 0";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_evaluation_error_never_permits(picks in proptest::collection::vec(0..6_usize, 1..8), size in 0..4_u64) {
        let action = "principal, action == Action::\"get_image\", resource";
        let sources: Vec<_> = picks.iter().enumerate().map(|(i, pick)| {
            let body = match pick {
                0 => format!("permit ({action}) when {{ principal.roles.contains(\"reader\") }};"),
                1 => format!("permit ({action}) when {{ {OVERFLOW} }};"),
                2 => format!("forbid ({action}) when {{ {OVERFLOW} }};"),
                3 => format!("forbid ({action}) when {{ principal.roles.contains(\"banned\") }};"),
                4 => format!("permit ({action});"),
                _ => format!("forbid ({action}) unless {{ {OVERFLOW} }};"),
            };
            (format!("{i}.cedar"), format!("@id(\"p{i}\") {body}").into_bytes())
        }).collect();
        let ctx = context(&sources, &["reader"]);
        let image = Image { size: Some(size), ..image(Some("blue"), Visibility::Private) };
        let answer = check_image(&ctx, Action::GetImage, &image);
        let forbid_errs = size > 1 && picks.iter().any(|p| [2, 5].contains(p));
        let any_errs = size > 1 && picks.iter().any(|p| [1, 2, 5].contains(p));
        let settled = picks.contains(&4) && !picks.iter().any(|p| [2, 3, 5].contains(p));
        if forbid_errs || (any_errs && !settled) {
            prop_assert_eq!(answer.unwrap_err().kind(), Kind::Unavailable);
        } else {
            prop_assert!(answer.map_or_else(|e| e.kind() != Kind::Unavailable, |_| true));
        }
    }
}
