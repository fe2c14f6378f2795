//! What a candidate finds out, and what it never touches.

use std::sync::Arc;

use super::*;
use crate::{
    authz::{
        self,
        tests::{context, image, with_shipped},
    },
    image::Visibility,
};

const OPEN: &str = "@id(\"open\") permit (principal, action, resource);";
const BANS: &str = "@id(\"bans\") forbid (principal, action == Action::\"get_image\", resource);";
/// Passes strict validation and overflows on every image larger than one byte.
const BREAKS: &str = "@id(\"breaks\") forbid (principal, action == Action::\"get_image\", resource) \
                      when { resource has size && resource.size * 9223372036854775807 > 0 };";

fn policies(text: &str) -> Vec<(String, Vec<u8>)> {
    vec![("a.cedar".to_owned(), text.as_bytes().to_vec())]
}

/// A caller under `active`, with `candidate` beside it.
fn beside(active: &str, candidate: &str) -> (Context, Arc<Shadow>) {
    let shadow = Arc::new(Shadow::new(Policies::load(&policies(candidate)).unwrap()));
    (Context { shadow: Some(shadow.clone()), ..context(&policies(active), &["member"]) }, shadow)
}

fn may(ctx: &Context) -> bool {
    let image = image(Some("blue"), Visibility::Private);
    authz::allows(ctx, Action::GetImage, Resource::Image(&image)).unwrap()
}

#[test]
fn equal_answers_are_counted_and_nothing_else() {
    let (ctx, shadow) = beside(OPEN, &OPEN.replace("\"open\"", "\"other\""));
    assert!(may(&ctx));
    let report = shadow.report();
    assert_eq!((report.compared, report.differing, report.differences.len()), (1, 0, 0));
}

#[test]
fn a_difference_says_who_what_old_new_and_why() {
    let (ctx, shadow) = beside(OPEN, &format!("{OPEN}{BANS}"));
    for _ in 0..3 {
        assert!(may(&ctx), "the candidate decides nothing");
    }
    let image = image(Some("blue"), Visibility::Private);
    authz::check_image(&ctx, Action::GetImage, &image).unwrap();
    let report = shadow.report();
    assert_eq!((report.compared, report.differing, report.beyond), (4, 4, 0));
    let [one] = report.differences.as_slice() else { panic!("{report:?}") };
    let mut shown = serde_json::to_value(one).unwrap();
    assert!(shown["last"]["at"].is_string() && shown["first"].is_string());
    shown["last"].as_object_mut().unwrap().remove("at");
    shown.as_object_mut().unwrap().remove("first");
    assert_eq!(
        shown,
        serde_json::json!({
            "action": "get_image",
            "resource": "Image",
            "old": {"answer": "permit", "policies": ["open"]},
            "new": {"answer": "deny", "policies": ["bans"]},
            "count": 4,
            "last": {
                "user": "alice",
                "project": "blue",
                "resource": format!("image/{}", image.id),
                "request_id": "req-test",
                "fault": null,
            },
        })
    );
}

#[test]
fn metrics_count_decisions_and_differences() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let (ctx, _) = beside(OPEN, &format!("{OPEN}{BANS}"));
    metrics::with_local_recorder(&recorder, || [may(&ctx), may(&ctx)]);
    let shown = recorder.handle().render();
    assert!(shown.contains("fanlight_shadow_decisions_total 2"), "{shown}");
    let differences = r#"fanlight_shadow_differences_total{action="get_image",old="permit",new="deny"} 2"#;
    assert!(shown.contains(differences), "{shown}");
}

/// What a subscriber writes, kept.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_log_warns_of_a_kind_once() {
    // Both lines are known to `tracing` before anybody listens: one that another test's thread, where nobody listens,
    // meets first would stay silent here too.
    let (known, _) = beside(OPEN, &format!("{OPEN}{BANS}"));
    assert!(may(&known) && may(&known));
    let lines = Lines::default();
    let writer = lines.clone();
    let log = tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_ansi(false);
    let (ctx, _) = beside(OPEN, &format!("{OPEN}{BANS}"));
    tracing::subscriber::with_default(log.with_writer(move || writer.clone()).finish(), || [may(&ctx), may(&ctx)]);
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let [first, second] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
    assert!(first.contains(" WARN ") && second.contains("DEBUG"), "{text}");
    for part in
        ["fanlight::shadow", "user=\"alice\"", "old=\"permit\" old_policies=[\"open\"]", "new_policies=[\"bans\"]"]
    {
        assert!(first.contains(part), "{part} in {first}");
    }
}

#[test]
fn a_candidate_that_cannot_be_evaluated_is_a_difference_and_no_failure() {
    let (ctx, shadow) = beside(OPEN, &format!("{OPEN}{BREAKS}"));
    assert!(may(&ctx));
    let report = shadow.report();
    let [one] = report.differences.as_slice() else { panic!("{report:?}") };
    assert_eq!((one.change.old.answer, one.change.new.answer), (Answer::Permit, Answer::Fault));
    assert!(one.last.fault.as_deref().is_some_and(|f| f.contains("overflow")), "{:?}", one.last);
}

#[test]
fn a_candidate_that_would_heal_a_fault_changes_nothing_either() {
    let (ctx, shadow) = beside(&format!("{OPEN}{BREAKS}"), OPEN);
    let image = image(Some("blue"), Visibility::Private);
    let error = authz::allows(&ctx, Action::GetImage, Resource::Image(&image)).unwrap_err();
    assert_eq!(error.kind(), crate::Kind::Unavailable);
    let report = shadow.report();
    let [one] = report.differences.as_slice() else { panic!("{report:?}") };
    assert_eq!((one.change.old.answer, one.change.new.answer), (Answer::Fault, Answer::Permit));
}

#[test]
fn properties_are_compared_one_by_one() {
    let hides = "@id(\"hides\") forbid (principal, action == Action::\"read_property\", resource == Property::\"licence_key\");";
    let (ctx, shadow) = beside(OPEN, &format!("{OPEN}{hides}"));
    let image = image(Some("blue"), Visibility::Private);
    let names = ["os_distro", "licence_key"];
    assert_eq!(authz::allows_properties(&ctx, Action::ReadProperty, &image, &names).unwrap(), [true, true]);
    let report = shadow.report();
    assert_eq!((report.compared, report.differing), (2, 1));
    let [one] = report.differences.as_slice() else { panic!("{report:?}") };
    assert_eq!(
        (one.change.old.policies.as_slice(), one.change.new.policies.as_slice()),
        (["open".to_owned()].as_slice(), ["hides".to_owned()].as_slice())
    );
    assert!(one.last.resource.ends_with("/property/licence_key"));
}

#[test]
fn kinds_beyond_the_bound_are_counted_as_one() {
    let shadow = Shadow::new(Policies::load(&policies(OPEN)).unwrap());
    let ctx = with_shipped("", &[]);
    let side = |policies| Side { answer: Answer::Deny, policies };
    for i in 0..KINDS_MAX + 5 {
        let change = Change { action: "a", resource: "Image", old: side(vec![i.to_string()]), new: side(Vec::new()) };
        shadow.note(change, Example::of(&ctx, &Resource::Service, [&Ok(verdict()), &Ok(verdict())]));
    }
    let report = shadow.report();
    assert_eq!(report.differences.len(), KINDS_MAX);
    assert_eq!((report.beyond, report.differing), (5, KINDS_MAX as u64 + 5));
}

fn verdict() -> decide::Verdict {
    decide::Verdict { permitted: false, policies: Vec::new() }
}
