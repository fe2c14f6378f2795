//! What policies become: conditions by stance, and whether they say everything.

use super::*;
use crate::{
    authz::tests::{context, with_shipped},
    image::{
        MemberStatus, Visibility,
        query::{IntColumn, IntTest, ListQuery, Stance, Text, TextColumn, TextTest, VisibilityFilter},
    },
};

/// The condition that one more clause of a permit becomes, and whether it is exact.
#[track_caller]
fn translated(clause: &str) -> (Condition, bool) {
    let policy =
        format!("@id(\"it\") permit (principal, action == Action::\"get_image\", resource) when {{ {clause} }};");
    let ctx = context(&[("it.cedar".into(), policy.into_bytes())], &["member"]);
    let (whole, _) = condition(&ctx.rules.policies, &ctx.caller).unwrap();
    (whole.reduced(&Condition::clone), !whole.has_unknown())
}

#[track_caller]
fn exactly(clause: &str, condition: Condition) {
    assert_eq!(translated(clause), (condition, true), "{clause}");
}

fn text(column: TextColumn, test: TextTest) -> Condition {
    Condition::Text(Text::Column(column), test)
}

fn values(values: &[&str]) -> TextTest {
    TextTest::In(values.iter().map(|v| (*v).to_owned()).collect())
}

#[test]
fn texts() {
    exactly(r#"resource.status == "active""#, text(TextColumn::Status, values(&["active"])));
    exactly(
        r#"["active", "queued"].contains(resource.status)"#,
        text(TextColumn::Status, values(&["active", "queued"])),
    );
    exactly(
        r#"resource.status == "active" || resource.status == "queued""#,
        text(TextColumn::Status, values(&["active", "queued"])),
    );
    exactly(
        r#"!(resource has name && resource.name like "a*\*")"#,
        Condition::any([
            text(TextColumn::Name, TextTest::Present).negated(),
            text(TextColumn::Name, TextTest::Like(vec![Some('a'), None, Some('*')])).negated(),
        ]),
    );
}

#[test]
fn numbers_flags_tags_and_properties() {
    let size = |test| Condition::Int(IntColumn::Size, test);
    let has = size(IntTest::Present);
    exactly("resource has size && resource.size < 5", Condition::all([has.clone(), size(IntTest::Max(4))]));
    exactly("resource has size && 5 < resource.size", Condition::all([has.clone(), size(IntTest::Min(6))]));
    exactly("resource has size && resource.size == 5", Condition::all([has, size(IntTest::Eq(5))]));
    exactly("resource.protected == false", Condition::Protected.negated());
    exactly("if resource.protected then true else resource.os_hidden", {
        Condition::any([Condition::Protected, Condition::all([Condition::Protected.negated(), Condition::Hidden])])
    });
    let tag = |t: &str| Condition::Tag(t.into());
    exactly(r#"resource.tags.containsAll(["a", "b"])"#, Condition::all([tag("a"), tag("b")]));
    exactly(r#"["a", "b"].containsAny(resource.tags)"#, Condition::any([tag("a"), tag("b")]));
    let os = |test| Condition::Text(Text::Property("os".into()), test);
    exactly(
        r#"resource.hasTag("os") && resource.getTag("os") != "x""#,
        Condition::all([os(TextTest::Present), os(values(&["x"])).negated()]),
    );
}

#[test]
fn owners_and_members() {
    let owner = |o: &str| text(TextColumn::Owner, values(&[o]));
    let has = text(TextColumn::Owner, TextTest::Present);
    let member = |s, p: &str| Condition::Member(s, p.into());
    exactly(
        "principal has project && resource has owner && resource.owner == principal.project",
        Condition::all([has.clone(), owner("blue")]),
    );
    exactly(
        r#"resource has owner && resource.owner in Domain::"default""#,
        Condition::all([has.clone(), owner("blue")]),
    );
    exactly(r#"resource has owner && resource.owner in Domain::"other""#, Condition::constant(false));
    exactly("resource has owner && principal in resource.owner", Condition::all([has, owner("blue")]));
    exactly("principal in resource.pending", member(MemberStatus::Pending, "blue"));
    exactly(r#"resource.rejected.contains(Project::"red")"#, member(MemberStatus::Rejected, "red"));
    exactly(r#"Project::"red" in Domain::"default""#, Condition::constant(false));
    exactly(r#"resource == Image::"a""#, text(TextColumn::Id, values(&["a"])));
}

#[test]
fn what_has_no_counterpart_is_left_to_the_policies() {
    for clause in [
        "resource has size && resource.size + 1 == 5",
        "resource.tags == [\"a\"]",
        "resource.tags.isEmpty()",
        "resource.hasTag(resource.status)",
        "resource.status == resource.visibility",
        "resource has owner && resource.members.contains(resource.owner)",
    ] {
        let (condition, exact) = translated(clause);
        assert!(!exact, "{clause}");
        assert!(!condition.is_never(), "{clause}: {condition:?} leaves out what the policies may permit");
    }
}

#[test]
fn nested_choices_do_not_grow_without_end() {
    let nested = (0..24).fold("resource.protected".to_owned(), |inner, _| format!("({inner}) == resource.os_hidden"));
    assert!(!translated(&nested).1);
}

#[test]
fn of_what_is_too_heavy_for_a_database_the_light_part_is_told() {
    let tags: Vec<_> = (0..600).map(|n| format!("\"t{n}\"")).collect();
    let heavy = format!("resource.tags.containsAny([{}])", tags.join(", "));
    let ctx = with_shipped(
        &format!(
            r#"@id("heavy") forbid (principal, action == Action::"get_image", resource)
               when {{ resource.os_hidden || {heavy} }};
               @id("also") permit (principal, action == Action::"get_image", resource)
               when {{ resource.protected && {heavy} }};"#
        ),
        &["reader"],
    );
    let sight = sight(&ctx).unwrap();
    assert!(!sight.grant.exact);
    let query = ListQuery { visibility: VisibilityFilter::All, ..ListQuery::default() };
    let shown = sight.grant.shown(&query, false);
    let foreign = shown.iter().find(|(s, _)| !s.own && s.visibility == Visibility::Private && s.membership.is_none());
    let condition = foreign.unwrap().1;
    assert!(condition.weight() <= 500 && condition.weight() > 400, "{}", condition.weight());
    let Condition::All(parts) = condition else { panic!("{condition:?}") };
    assert!(parts.contains(&Condition::Protected) && parts.contains(&Condition::Hidden.negated()), "{condition:?}");
}

#[test]
fn a_forbid_that_may_error_is_not_lost_beside_a_permit_of_everything() {
    let ctx = with_shipped(
        r#"@id("overflow") forbid (principal, action == Action::"get_image", resource)
           when { resource has size && resource.size * 4 == 4 && resource.status == "nope" };"#,
        &["admin"],
    );
    assert!(!sight(&ctx).unwrap().grant.exact);
}

#[test]
fn a_policy_that_errors_for_every_image_is_a_fault() {
    let ctx = with_shipped(
        r#"@id("overflow") forbid (principal, action == Action::"get_image", resource)
           when { 9223372036854775807 + 1 == 0 };"#,
        &["member"],
    );
    assert_eq!(sight(&ctx).unwrap_err().kind(), crate::error::Kind::Unavailable);
}

#[test]
fn the_shipped_policies_leave_nothing_open() {
    let shown = |roles: &[&str], visibility, all_projects| {
        let ctx = with_shipped("", roles);
        let grant = sight(&ctx).unwrap().grant;
        assert!(grant.exact);
        let query = ListQuery { visibility, member_status: Some(MemberStatus::Accepted), ..ListQuery::default() };
        let shown = grant.shown(&query, all_projects);
        assert!(shown.iter().all(|(_, rest)| rest.is_always()), "{shown:?}");
        shown.into_iter().map(|(stance, _)| stance).collect::<Vec<_>>()
    };
    let expected = |s: &Stance| {
        s.own
            || s.visibility == Visibility::Public
            || (s.visibility == Visibility::Shared && s.membership == Some(MemberStatus::Accepted))
    };
    let mine = shown(&["member", "reader"], VisibilityFilter::Default, false);
    assert!(mine.iter().all(expected), "{mine:?}");
    assert_eq!(mine.len(), 16 + 4 + 1);
    assert_eq!(shown(&["member", "reader"], VisibilityFilter::All, false).len(), 16 + 8 + 1);
    assert_eq!(shown(&["admin"], VisibilityFilter::All, true).len(), 32);
    assert_eq!(shown(&["admin"], VisibilityFilter::Default, true).len(), 28);
    assert_eq!(shown(&[], VisibilityFilter::All, false), []);
}

#[test]
fn a_grant_is_made_once_for_a_caller() {
    let ctx = with_shipped("", &["member"]);
    assert!(Arc::ptr_eq(&sight(&ctx).unwrap().grant, &sight(&ctx).unwrap().grant));
    let other = Context { caller: Caller { project_id: Some("red".into()), ..ctx.caller.clone() }, ..ctx.clone() };
    assert!(!Arc::ptr_eq(&sight(&ctx).unwrap().grant, &sight(&other).unwrap().grant));
}
