//! Differences that are known beforehand.

use super::*;

fn shipped_and(more: &str) -> Policies {
    let mut files: Vec<_> = Policies::shipped().into_iter().filter(|(name, _)| name.ends_with(".cedar")).collect();
    files.push(("more.cedar".into(), more.as_bytes().to_vec()));
    Policies::load(&files).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn difference(more: &str) -> Difference {
    let (old, new) = (shipped_and(""), shipped_and(more));
    // In a debug build an answer takes a while; the plain images come first and do.
    compare(&old, &new, generate(&old, &new).unwrap().take(2_500)).unwrap()
}

#[test]
fn the_same_policies_need_no_question() {
    let found = difference("");
    assert_eq!((found.asked, found.changed), (0, 0));
}

#[test]
fn every_kind_of_condition_is_met_by_a_question() {
    let rows = [
        (
            r#"forbid (principal, action == Action::"delete_image", resource) when { resource.tags.contains("golden") };"#,
            "delete_image",
        ),
        (
            r#"forbid (principal, action == Action::"get_image", resource) when { resource.hasTag("os") && resource.getTag("os") like "win*" };"#,
            "get_image",
        ),
        (
            r#"forbid (principal, action == Action::"upload_image", resource) when { resource has size && resource.size > 1000 };"#,
            "upload_image",
        ),
        (r#"forbid (principal, action == Action::"read_property", resource == Property::"licence");"#, "read_property"),
        (
            r#"forbid (principal, action == Action::"read_property", resource) when { resource.name like "secret_*" };"#,
            "read_property",
        ),
        (r#"forbid (principal in Project::"frozen", action, resource);"#, "delete_image"),
        (
            r#"forbid (principal, action == Action::"place_image", resource == Store::"gold") unless { principal in Project::"rich" };"#,
            "place_image",
        ),
        (
            r#"permit (principal, action == Action::"get_all_images", resource) when { principal.roles.contains("auditor") };"#,
            "get_all_images",
        ),
        (
            r#"permit (principal, action == Action::"modify_member", resource) when { resource.status == "rejected" };"#,
            "modify_member",
        ),
        (
            r#"forbid (principal, action == Action::"place_image", resource) when { resource.hasTag("region") && resource.getTag("region") == "eu" };"#,
            "place_image",
        ),
    ];
    for (policy, action) in rows {
        let found = difference(&format!("@id(\"new\") {policy}"));
        let hits = found.changes.iter().filter(|c| c.action.as_str() == action).count();
        assert!(hits > 0, "{policy}: {} questions, {} changes", found.asked, found.changed);
        assert!(
            found
                .changes
                .iter()
                .flat_map(|c| &c.examples)
                .all(|c| c.old_reason.contains("`new`") || c.new_reason.contains("`new`")),
            "{policy}"
        );
        assert!(found.changed < found.asked, "{policy}: something stays as it is");
    }
}

#[test]
fn the_same_sets_give_the_same_questions() {
    let (old, new) =
        (shipped_and(""), shipped_and("@id(\"n\") forbid (principal in Project::\"x\", action, resource);"));
    let ask = || generate(&old, &new).unwrap().collect::<Vec<_>>();
    assert_eq!(ask(), ask());
}

#[test]
fn two_facts_together_are_met_by_a_question() {
    let (old, new) = (
        shipped_and(""),
        shipped_and(
            r#"@id("n") permit (principal, action == Action::"get_image", resource)
               when { resource.status == "queued" && resource has name && resource.name == "a" };"#,
        ),
    );
    let named = generate(&old, &new).unwrap().filter(|q| q.image.as_ref().is_some_and(|i| i.name.is_some()));
    let both = named.filter(|q| q.image.as_ref().is_some_and(|i| i.status == crate::image::Status::Queued));
    let found = compare(&old, &new, both.take(100)).unwrap();
    assert!(found.changed > 0, "{} questions", found.asked);
}
