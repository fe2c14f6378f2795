use jiff::Timestamp;

use super::*;

fn candidate(id: &str, weight: i32, free: u64) -> Candidate {
    Candidate {
        facts: StoreFacts { id: id.into(), kind: "file".into(), ..StoreFacts::default() },
        weight,
        state: StoreState::Up,
        healthy: true,
        total: 1000,
        free,
        in_flight: 0,
        latency_us: 0,
    }
}

fn order(candidates: &[Candidate]) -> Vec<String> {
    builtin::rank(&candidates.iter().collect::<Vec<_>>()).into_iter().map(|v| v.store).collect()
}

#[test]
fn built_in_goes_by_weight_then_room_then_id() {
    let stores = [candidate("c", 0, 500), candidate("a", 0, 500), candidate("b", 0, 900), candidate("z", 1, 1)];
    assert_eq!(order(&stores), ["z", "b", "a", "c"]);
    let busy = Candidate { in_flight: 81, ..candidate("b", 0, 900) };
    assert_eq!(order(&[busy, candidate("c", 0, 500)]), ["c", "b"]);
}

fn refused(codes: &[&str]) -> Kind {
    let verdicts: Vec<_> = codes.iter().map(|code| Verdict::rejected("s", code, "x")).collect();
    let image = crate::image::NewImage::default();
    let image = image.into_image(None, Timestamp::UNIX_EPOCH);
    refusal(&Request { image: &image, size: None, explicit: None }, &verdicts, &["s"]).kind()
}

#[test]
fn a_refusal_tells_denial_fault_and_lack_of_room_apart() {
    assert_eq!(refused(&["not-permitted", "not-permitted"]), Kind::Forbidden);
    assert_eq!(refused(&["not-permitted", "full"]), Kind::TooLarge);
    assert_eq!(refused(&["full", "down"]), Kind::Unavailable);
    assert_eq!(refused(&["draining"]), Kind::Unavailable);
    assert_eq!(refused(&["wrong-class"]), Kind::Conflict);
}

#[test]
fn a_refusal_is_silent_about_stores_that_are_not_permitted_or_not_to_be_seen() {
    let full = |store| Verdict::rejected(store, "full", "0 free");
    let verdicts = [Verdict::rejected("hidden", "not-permitted", "x"), full("seen"), full("unseen")];
    let image = crate::image::NewImage::default().into_image(None, Timestamp::UNIX_EPOCH);
    let error = refusal(&Request { image: &image, size: None, explicit: None }, &verdicts, &["seen", "hidden"]);
    assert_eq!(error.message(), "No store takes the image. seen: 0 free");
}

mod plans {
    //! Whole plans, by the shipped policies and real plug-ins.

    use std::sync::{Arc, LazyLock};

    use super::*;
    use crate::{
        authz::Policies,
        context::Caller,
        image::NewImage,
        rules::Ruleset,
        wasm::{Engine, Plugins},
    };

    static ENGINE: LazyLock<Engine> = LazyLock::new(|| Engine::new().unwrap());

    const MISBEHAVING: &[u8] = include_bytes!("../../tests/fixtures/misbehaving.wasm");

    /// On a machine that is busy with other tests the default deadline may pass.
    const PATIENT: &str = "\n[limits]\ndeadline-ms = 1000\n";

    fn plugin(name: &str, wasm: &[u8], rest: &str) -> Vec<(String, Vec<u8>)> {
        use sha2::{Digest, Sha256};
        let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(wasm));
        let manifest = format!(
            "name = \"{name}\"\nworld = \"fanlight:placement@1.0.0\"\nwasm = \"{name}.wasm\"\nsha256 = \"{digest}\"\n{rest}\n"
        );
        vec![(format!("{name}.toml"), manifest.into_bytes()), (format!("{name}.wasm"), wasm.to_vec())]
    }

    fn misbehaving(behave: &str) -> Vec<(String, Vec<u8>)> {
        let rest = format!("order = 5\n{PATIENT}\n[settings]\nbehave = \"{behave}\"\nonly-project = \"blue\"");
        plugin("misbehaving", MISBEHAVING, &rest)
    }

    fn context(plugins: &[(String, Vec<u8>)]) -> Context {
        let mut rules = Ruleset::shipped(&ENGINE).map_err(|f| format!("{f:?}")).unwrap();
        rules.plugins = Plugins::load(plugins, &ENGINE).map_err(|f| format!("{f:?}")).unwrap();
        let caller = Caller {
            user_id: "u".into(),
            project_id: Some("blue".into()),
            roles: ["member", "reader"].map(str::to_owned).into(),
            ..Caller::default()
        };
        Context { request_id: "req-1".into(), caller, rules: Arc::new(rules), shadow: None, journal: Arc::default() }
    }

    /// The shipped files, with time.
    fn files() -> Vec<(String, Vec<u8>)> {
        let mut files = Plugins::shipped();
        for (_, bytes) in files.iter_mut().filter(|(name, _)| name.ends_with(".toml")) {
            bytes.extend_from_slice(PATIENT.as_bytes());
        }
        files
    }

    fn shipped() -> Context {
        context(&files())
    }

    fn image(properties: &[(&str, &str)]) -> Image {
        let properties = properties.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        NewImage { properties, ..NewImage::default() }.into_image(Some("blue"), Timestamp::UNIX_EPOCH)
    }

    fn classed(id: &str, class: &str, free: u64) -> Candidate {
        let mut c = candidate(id, 0, free);
        c.facts.labels.insert("class".into(), class.into());
        c
    }

    fn planned(ctx: &Context, candidates: &[Candidate]) -> Plan {
        let image = image(&[]);
        plan(ctx, &Request { image: &image, size: Some(10), explicit: None }, candidates).unwrap()
    }

    fn kind(ctx: &Context, explicit: Option<&str>, candidates: &[Candidate]) -> (Kind, String) {
        let image = image(&[]);
        let error = plan(ctx, &Request { image: &image, size: Some(10), explicit }, candidates).unwrap_err();
        (error.kind(), error.message().to_owned())
    }

    fn codes(plan: &Plan) -> Vec<(&str, &str)> {
        plan.verdicts.iter().map(|v| (v.store.as_str(), v.code.as_str())).collect()
    }

    #[test]
    fn the_shipped_plug_in_takes_the_most_free_and_counts_weight() {
        let ctx = shipped();
        let plan = planned(&ctx, &[candidate("a", 0, 300), candidate("b", 0, 700)]);
        assert_eq!(plan.ranked, ["b", "a"]);
        assert!(plan.decided_by.starts_with("most-free@sha256:"), "{}", plan.decided_by);
        assert_eq!(plan.fallback, None);
        assert_eq!(planned(&ctx, &[candidate("a", 5, 300), candidate("b", 0, 700)]).ranked, ["a", "b"]);
    }

    #[test]
    fn uploads_under_way_turn_the_next_one_elsewhere() {
        let ctx = shipped();
        for weight in [0, 20] {
            let mut stores = [candidate("a", weight, 502), candidate("b", weight, 500)];
            let mut first = Vec::new();
            for _ in 0..4 {
                let chosen = planned(&ctx, &stores).ranked.remove(0);
                stores.iter_mut().filter(|c| c.facts.id == chosen).for_each(|c| c.in_flight += 1);
                first.push(chosen);
            }
            assert_eq!(first, ["a", "b", "a", "b"], "weight {weight}");
        }
    }

    #[test]
    fn an_image_goes_to_the_class_that_it_asks_for() {
        let ctx = shipped();
        let stores = [classed("a", "hdd", 900), classed("b", "ssd", 100)];
        let wish = image(&[("storage_class", "ssd")]);
        let plan = plan(&ctx, &Request { image: &wish, size: None, explicit: None }, &stores).unwrap();
        assert_eq!(plan.ranked, ["b"]);
        assert_eq!(codes(&plan), [("b", "free"), ("a", "wrong-class")]);
        let wish = image(&[("storage_class", "tape")]);
        let error = super::plan(&ctx, &Request { image: &wish, size: None, explicit: None }, &stores).unwrap_err();
        assert_eq!(error.kind(), Kind::Conflict);
        assert!(error.message().contains("class is hdd, the image asks for tape"), "{error}");
    }

    #[test]
    fn a_named_store_is_taken_or_refused_for_itself() {
        let ctx = shipped();
        let stores = [candidate("a", 0, 300), candidate("b", 0, 700), candidate("c", 0, 0)];
        let image = image(&[]);
        let plan = plan(&ctx, &Request { image: &image, size: None, explicit: Some("a") }, &stores).unwrap();
        assert_eq!((plan.ranked.as_slice(), plan.decided_by.as_str()), (&["a".to_owned()][..], "client"));
        assert_eq!(kind(&ctx, Some("c"), &stores).0, Kind::TooLarge);
        assert_eq!(kind(&ctx, Some("z"), &stores).0, Kind::Invalid);
    }

    #[test]
    fn policy_keeps_stores_out_of_sight() {
        let mut rules = Ruleset::shipped(&ENGINE).map_err(|f| format!("{f:?}")).unwrap();
        let mut policies = Policies::shipped();
        let forbid =
            br#"@id("not-a") forbid (principal, action == Action::"place_image", resource == Store::"a");"#.to_vec();
        policies.retain(|(name, _)| name.ends_with(".cedar"));
        policies.push(("mine.cedar".into(), forbid));
        rules.policies = Policies::load(&policies).map_err(|f| format!("{f:?}")).unwrap();
        let ctx = Context { rules: Arc::new(rules), ..shipped() };
        let stores = [candidate("a", 0, 300), candidate("b", 0, 200)];
        let plan = planned(&ctx, &stores);
        assert_eq!(codes(&plan), [("b", "free"), ("a", "not-permitted")]);
        assert_eq!(kind(&ctx, Some("a"), &stores).0, Kind::Forbidden);
        assert_eq!(kind(&ctx, None, &stores[..1]).0, Kind::Forbidden);
    }

    #[test]
    fn full_and_down_stores_are_told_apart() {
        let ctx = shipped();
        let down = |id| Candidate { healthy: false, ..candidate(id, 0, 500) };
        assert_eq!(kind(&ctx, None, &[candidate("a", 0, 0), candidate("b", 0, 9)]).0, Kind::TooLarge);
        assert_eq!(kind(&ctx, None, &[down("a"), down("b")]).0, Kind::Unavailable);
        let draining = Candidate { state: StoreState::Draining, ..candidate("c", 0, 500) };
        let plan = planned(&ctx, &[down("a"), draining, candidate("b", 0, 500), candidate("d", 0, 1)]);
        assert_eq!(codes(&plan), [("b", "free"), ("a", "down"), ("c", "draining"), ("d", "full")]);
        let unknown = Candidate { total: 0, ..candidate("u", 0, 0) };
        assert_eq!(planned(&ctx, &[unknown]).ranked, ["u"]);
    }

    #[test]
    fn a_plug_in_that_fails_is_stood_in_for_and_the_plan_says_so() {
        let stores = [candidate("a", 0, 300), candidate("b", 3, 100)];
        for (behave, reason) in [
            ("panic", "misbehaving: plug-in trapped: wasm `unreachable` instruction executed"),
            ("loop", "misbehaving: plug-in hit its limit: fuel of 10000000"),
            ("twice", "misbehaving: plug-in gave a bad answer: two verdicts on one store (store 0)"),
        ] {
            let plan = planned(&context(&misbehaving(behave)), &stores);
            assert_eq!((plan.ranked.join(" "), plan.decided_by.as_str()), ("b a".into(), "built-in"));
            assert!(plan.fallback.as_ref().is_some_and(|f| f.starts_with(reason)), "{:?}", plan.fallback);
        }
    }

    #[test]
    fn what_an_earlier_plug_in_narrowed_stays_narrow_when_a_later_one_fails() {
        let mut plugins = files();
        plugins.extend(misbehaving("panic"));
        let wish = image(&[("storage_class", "ssd")]);
        let stores = [classed("a", "hdd", 900), classed("b", "ssd", 100)];
        let request = Request { image: &wish, size: None, explicit: None };
        let plan = plan(&context(&plugins), &request, &stores).unwrap();
        assert_eq!(plan.ranked, ["b"]);
        assert!(plan.decided_by.starts_with("most-free@") && plan.decided_by.ends_with(", built-in"));
        assert!(plan.fallback.is_some());
    }

    #[test]
    fn a_plug_in_that_turns_all_down_is_final_and_cannot_pose_as_policy() {
        let stores = [candidate("a", 0, 300)];
        for behave in ["none", "silent", "spoof"] {
            assert_eq!(kind(&context(&misbehaving(behave)), None, &stores).0, Kind::Conflict, "{behave}");
        }
    }

    #[test]
    fn by_project_pins_and_leaves_the_rest_alone() {
        let example = [
            ("by-project.toml", include_bytes!("../../plugins/examples/by-project.toml").to_vec()),
            ("by-project.wasm", include_bytes!("../../plugins/examples/by-project.wasm").to_vec()),
        ];
        let mut plugins = files();
        plugins.extend(example.map(|(name, bytes)| (name.to_owned(), bytes)));
        let ctx = context(&plugins);
        let stores = [candidate("alpha", 5, 900), candidate("beta", 0, 100)];
        let plan = planned(&ctx, &stores);
        assert_eq!(plan.ranked, ["beta"]);
        assert_eq!(codes(&plan), [("beta", "pinned"), ("alpha", "pinned-elsewhere")]);
        let green = Image { owner: Some("green".into()), ..image(&[]) };
        let request = Request { image: &green, size: None, explicit: None };
        assert_eq!(super::plan(&ctx, &request, &stores).unwrap().ranked, ["alpha", "beta"]);
    }
}
