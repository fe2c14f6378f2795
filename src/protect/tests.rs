//! Protection of one property under policies that an operator would write.

use proptest::prelude::*;

use super::*;
use crate::{
    Kind,
    authz::tests::{image, with_shipped},
    image::Visibility,
};

const HIDDEN: &str = r#"
    @id("licence.hidden") forbid (principal, action in [Action::"read_property", Action::"create_property"],
      resource == Property::"licence_key") unless { principal.roles.contains("auditor") };
    @id("distro.fixed") forbid (principal, action in [Action::"update_property", Action::"delete_property"], resource)
      when { resource.name like "os_*" };
"#;

fn sample() -> Image {
    image(Some("blue"), Visibility::Private)
}

#[test]
fn what_may_not_be_read_is_not_shown_and_not_probed() {
    let image = sample();
    let member = with_shipped(HIDDEN, &["reader", "member"]);
    let shown = visible(&member, image.clone()).unwrap();
    assert_eq!(shown.properties.keys().collect::<Vec<_>>(), ["os_distro"]);
    assert!(!may_read(&member, &image, "licence_key").unwrap());
    assert!(may_read(&member, &image, "os_distro").unwrap());
    let auditor = with_shipped(HIDDEN, &["reader", "auditor"]);
    assert_eq!(visible(&auditor, image.clone()).unwrap(), image);
}

#[test]
fn as_shipped_everything_is_shown() {
    assert_eq!(visible(&with_shipped("", &[]), sample()).unwrap(), sample());
}

#[test]
fn each_kind_of_change_asks_for_its_action() {
    let member = with_shipped(HIDDEN, &["reader", "member"]);
    let old = sample();
    assert!(guard_change(&member, &old, &old).is_ok());

    let mut added = old.clone();
    added.properties.insert("free".into(), "1".into());
    assert!(guard_change(&member, &old, &added).is_ok());

    let mut updated = old.clone();
    updated.properties.insert("os_distro".into(), "other".into());
    let refusal = guard_change(&member, &old, &updated).unwrap_err();
    assert_eq!((refusal.kind(), refusal.message()), (Kind::Forbidden, "Property 'os_distro' is protected"));
    assert!(refusal.decision().is_some());

    let mut removed = old.clone();
    removed.properties.remove("os_distro");
    assert_eq!(guard_change(&member, &old, &removed).unwrap_err().kind(), Kind::Forbidden);
}

#[test]
fn what_is_not_seen_is_not_changed() {
    let mut updating = with_shipped(HIDDEN, &["reader", "member"]);
    let old = sample();
    for value in [None, Some("guess")] {
        let mut new = old.clone();
        new.properties.remove("licence_key");
        new.properties.extend(value.map(|v| ("licence_key".to_owned(), v.to_owned())));
        assert_eq!(guard_change(&updating, &old, &new).unwrap_err().kind(), Kind::Forbidden);
    }
    updating.caller.roles.insert("auditor".into());
    let mut new = old.clone();
    new.properties.insert("licence_key".into(), "new".into());
    assert!(guard_change(&updating, &old, &new).is_ok());
}

#[test]
fn creation_asks_for_every_property() {
    let member = with_shipped(HIDDEN, &["reader", "member"]);
    assert_eq!(guard_create(&member, &sample()).unwrap_err().message(), "Property 'licence_key' is protected");
    assert!(guard_create(&with_shipped(HIDDEN, &["auditor"]), &sample()).is_ok());
}

#[test]
fn a_broken_rule_shows_nothing() {
    let broken = r#"@id("broken") forbid (principal, action == Action::"read_property", resource)
        when { resource.image has size && resource.image.size * 9223372036854775807 > 0 };"#;
    let ctx = with_shipped(broken, &["admin"]);
    assert_eq!(visible(&ctx, sample()).unwrap_err().kind(), Kind::Unavailable);
    assert_eq!(may_read(&ctx, &sample(), "os_distro").unwrap_err().kind(), Kind::Unavailable);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Kept answers never stand in for a question that depends on more than the name.
    #[test]
    fn many_at_once_are_answered_as_one_by_one(
        picks in proptest::collection::vec(0..6_usize, 0..4),
        images in proptest::collection::vec((any::<bool>(), proptest::collection::btree_set("[a-c]_[xy]", 0..6)), 1..5),
    ) {
        let forbids = [
            "resource == Property::\"a_x\"",
            "resource.name like \"b_*\"",
            "resource.image.visibility == \"public\"",
            "resource.image.hasTag(resource.name) && resource.image.getTag(resource.name) == \"1\"",
            "!principal.roles.contains(\"reader\") && [\"c_x\", \"c_y\"].contains(resource.name)",
            "resource.image has owner && resource.name == \"c_x\"",
        ];
        let text: String = picks.iter().enumerate().map(|(n, pick)| {
            format!("@id(\"p{n}\") forbid (principal, action == Action::\"read_property\", resource) when {{ {} }};\n", forbids[*pick])
        }).collect();
        let ctx = with_shipped(&text, &["reader"]);
        for (public, names) in images {
            let mut image = image(Some("blue"), if public { Visibility::Public } else { Visibility::Private });
            image.properties = names.iter().enumerate().map(|(n, name)| (name.clone(), n.to_string())).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let one_by_one: Vec<bool> = names.iter().map(|name| may_read(&ctx, &image, name).unwrap()).collect();
            for _ in 0..2 {
                let together = authz::allows_properties(&ctx, Action::ReadProperty, &image, &names).unwrap();
                prop_assert_eq!(&together, &one_by_one);
            }
        }
    }
}
