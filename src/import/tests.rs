//! Whole conversions, held against the original.

use proptest::prelude::*;

use super::*;
use crate::authz::Policies;

fn policies(rules: &Rules) -> (Policies, Vec<(String, Outcome)>) {
    let (files, outcomes) = write(rules).unwrap();
    let files: Vec<_> = files.into_iter().map(|(name, text)| (name, text.into_bytes())).collect();
    let policies = Policies::load(&files).map_err(|faults| format!("{faults:#?}")).unwrap();
    (policies, outcomes)
}

/// Every difference has a known reason; returns the reasons by rule.
fn proven(rules: &Rules, count: u64) -> Vec<String> {
    let (policies, _) = policies(rules);
    let findings = prove(Original { rules, protections: None }, &policies, count).unwrap();
    let mut stricter = Vec::new();
    for (name, finding) in findings {
        assert!(finding.different.is_none(), "{name}: {:#?}", finding.different);
        if !finding.stricter.is_empty() {
            stricter.push(format!("{name}: {:?}", finding.stricter.keys().collect::<Vec<_>>()));
        }
    }
    stricter
}

#[test]
fn glances_own_rules_all_convert() {
    let rules = Rules::glance().unwrap();
    let (_, outcomes) = policies(&rules);
    let count = |wanted: &Outcome| outcomes.iter().filter(|(_, outcome)| outcome == wanted).count();
    assert_eq!((count(&Outcome::Converted), count(&Outcome::Part), outcomes.len()), (62, 5, 67));
    insta::assert_snapshot!(proven(&rules, 20_000).join("\n"));
}

#[test]
fn what_has_no_counterpart_is_refused_and_lets_nobody_in() {
    let mut rules = Rules::glance().unwrap();
    let file = "\"get_image\": \"rule:nope\"\n\"delete_image\": \"http://elsewhere/\"\n\"mine\": \"role:x\"\n\
                \"modify_image\": \"!\"\n\"upload_image\": \"role:a role:b\"\n";
    rules.read("policy.yaml", file).unwrap();
    let (policies, outcomes) = policies(&rules);
    let ids = policies.ids();
    for name in ["get_image", "delete_image", "upload_image", "modify_image"] {
        assert!(!ids.iter().any(|id| id == name), "{name}");
    }
    let shown: Vec<_> = outcomes
        .iter()
        .filter(|(_, o)| !matches!(o, Outcome::Converted | Outcome::Part))
        .map(|o| format!("{o:?}"))
        .collect();
    insta::assert_snapshot!(shown.join("\n"));
}

/// A check that converts.
fn check() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "@",
        "!",
        "role:member",
        "role:Reader",
        "role:auditor",
        "rule:context_is_admin",
        "rule:service_api",
        "project_id:%(project_id)s",
        "project_id:%(owner)s",
        "tenant:%(owner)s",
        "is_admin:True",
        "system_scope:all",
        "role:%(class)s",
        "roles:%(class)s",
        "roles:%(name)s",
        "roles:Member",
        "'x-gold':x-%(class)s",
        "None:%(member_id)s",
        "'blue':%(member_id)s",
        "project_id:blue",
        "user_id:alice",
        "'public':%(visibility)s",
        "'shared':%(visibility)s",
        "'active':%(status)s",
        "True:%(protected)s",
        "False:%(os_hidden)s",
        "None:%(owner)s",
        "'gold':%(class)s",
        "'x':%(name)s",
        "7:%(size)s",
        "roles:member",
        "project_domain_id:default",
        "project_id:%(member_id)s",
        "'raw':%(disk_format)s",
        "'blue':%(owner)s",
    ])
    .prop_map(str::to_owned);
    leaf.prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            // A role that the target names is refused behind `not`.
            inner.clone().prop_map(|a| format!("not ({})", a.replace("role:%(class)s", "role:other"))),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) and ({b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} or ({b})")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("(({a}) or {b})")),
        ]
    })
}

/// A regular expression that converts.
fn pattern() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec!["a", "b_", "x", ".*", "(c|d)", "[ef]", "g?", "\\*", "\\.", "\\\\", "-"]);
    (any::<bool>(), prop::collection::vec(piece, 1..5), any::<bool>()).prop_map(|(start, pieces, end)| {
        format!("{}{}{}", if start { "^" } else { "" }, pieces.concat(), if end { "$" } else { "" })
    })
}

/// Who may, by roles.
fn who() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["@", "!", "", "admin", "Member", "member, reader", "auditor,!", "service"])
        .prop_map(str::to_owned)
}

fn protected(text: &str, mode: Mode, rules: &Rules, count: u64) {
    let protections = Protections::read("p.conf", text, mode).unwrap();
    let (mut files, _) = write(rules).unwrap();
    files.retain(|(name, _)| name != PROPERTIES);
    files.push((PROPERTIES.into(), protections.policies(rules).unwrap()));
    let files: Vec<_> = files.into_iter().map(|(name, text)| (name, text.into_bytes())).collect();
    let policies = Policies::load(&files).map_err(|faults| format!("{faults:#?}")).unwrap();
    let findings = prove(Original { rules, protections: Some(&protections) }, &policies, count).unwrap();
    for name in ["create_property", "read_property", "update_property", "delete_property"] {
        let finding = &findings[name];
        assert!(finding.asked > 0 && finding.differences == 0, "{name}: {finding:#?}\n{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn random_rules_say_the_same(rules in prop::collection::vec(check(), 8)) {
        let actions = ["get_image", "delete_image", "get_images", "get_member", "get_members", "modify_member", "delete_member", "add_image"];
        let named: Vec<_> = actions.into_iter().zip(rules).collect();
        let mut rules = Rules::glance().unwrap();
        let file: String = named.iter().map(|(name, rule)| format!("{name}: \"{rule}\"\n")).collect();
        rules.read("policy.yaml", &file).unwrap();
        proven(&rules, 1_200);
    }

    #[test]
    fn random_protections_say_the_same(sections in prop::collection::vec((pattern(), who(), who()), 1..5)) {
        let text: String = sections
            .iter()
            .map(|(pattern, one, two)| format!("[{pattern}]\ncreate = {one}\nread = {two}\nupdate = {two}\ndelete = {one}\n"))
            .collect();
        protected(&text, Mode::Roles, &Rules::glance().unwrap(), 800);
    }

    #[test]
    fn random_protections_by_rules_say_the_same(
        sections in prop::collection::vec((pattern(), 0..3_usize, 0..3_usize), 1..4),
        rules in prop::collection::vec(check(), 3),
    ) {
        let file: String = rules.iter().enumerate().map(|(n, rule)| format!("mine_{n}: \"{rule}\"\n")).collect();
        let mut rules = Rules::glance().unwrap();
        rules.read("policy.yaml", &file).unwrap();
        let text: String = sections
            .iter()
            .map(|(pattern, a, b)| format!("[{pattern}]\ncreate = mine_{a}\nread = mine_{b}\nupdate = @\ndelete = !\n"))
            .collect();
        protected(&text, Mode::Policies, &rules, 800);
    }
}
