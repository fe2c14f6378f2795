//! The statements under the shipped policies, and how SQLite runs them.

use super::*;
use crate::{
    authz::{self, tests::with_shipped},
    config,
    image::{
        MemberStatus, Visibility,
        query::{SortKey, VisibilityFilter},
    },
};

/// The newest images that a list shows by default, or otherwise.
fn newest(visibility: VisibilityFilter) -> ListQuery {
    let sort = vec![(SortKey::CreatedAt, Direction::Desc), (SortKey::Id, Direction::Desc)];
    ListQuery { visibility, member_status: Some(MemberStatus::Accepted), sort, ..ListQuery::default() }
}

/// A caller of project `blue` under the shipped policies and one more file.
fn viewer(more: &str, roles: &[&str]) -> Viewer {
    let ctx = with_shipped(more, roles);
    let all_projects = roles.contains(&"admin");
    Viewer { project: Some("blue".into()), all_projects, grant: authz::sight(&ctx).unwrap().grant }
}

fn statement(d: Dialect, q: &ListQuery, viewer: &Viewer) -> (String, Vec<crate::db::tx::Arg>) {
    let page = Page { after: None, limit: 21 };
    statement::build(d, &compose(d, q, viewer, page).unwrap()).unwrap()
}

/// The statement without its columns, and the parameters.
fn told(d: Dialect, q: &ListQuery, viewer: &Viewer) -> String {
    let (mut sql, args) = statement(d, q, viewer);
    sql = sql.replace('"', "");
    for of in ["i", "b"] {
        sql = sql.replace(&COLUMNS.map(|c| format!("{of}.{c}")).join(", "), "*");
    }
    for belongings in row::belongings(d) {
        sql = sql.replace(&format!(", {belongings}"), "");
    }
    let sql = sql.replace(" FROM (", "\n  FROM (").replace(" UNION", "\n  UNION").replace(" WHERE", "\n    WHERE");
    format!("{sql}\n{args:?}")
}

#[test]
fn walks_of_a_member() {
    let member = viewer("", &["member", "reader"]);
    insta::assert_snapshot!(told(Dialect::Sqlite, &newest(VisibilityFilter::Default), &member));
    insta::assert_snapshot!(told(Dialect::Sqlite, &newest(VisibilityFilter::All), &member));
    insta::assert_snapshot!(told(Dialect::Sqlite, &newest(VisibilityFilter::Only(Visibility::Shared)), &member));
}

#[test]
fn walks_of_an_administrator() {
    let admin = viewer("", &["admin", "member", "reader"]);
    insta::assert_snapshot!(told(Dialect::Sqlite, &newest(VisibilityFilter::Default), &admin));
    insta::assert_snapshot!(told(Dialect::Sqlite, &newest(VisibilityFilter::All), &admin));
}

#[test]
fn walks_under_more_policies() {
    let green = r#"@id("green") permit (principal in Project::"blue", action == Action::"get_image", resource)
        when { resource.visibility == "private" && resource has owner && resource.owner == Project::"green" };
        @id("embargo") forbid (principal, action == Action::"get_image", resource)
        when { resource.tags.contains("embargo") || (resource has name && resource.name like "tmp_*") };"#;
    let viewer = viewer(green, &["member", "reader"]);
    insta::assert_snapshot!(told(Dialect::Sqlite, &newest(VisibilityFilter::Default), &viewer));
    insta::assert_snapshot!(told(Dialect::Postgres, &newest(VisibilityFilter::Default), &viewer));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_walk_has_its_own_index() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::connect(&config::Database::default(), dir.path()).await.unwrap();
    db.migrate().await.unwrap();
    let plan = async |viewer: Viewer| {
        let (sql, args) = statement(Dialect::Sqlite, &newest(VisibilityFilter::Default), &viewer);
        let rows = db.rows(format!("EXPLAIN QUERY PLAN {sql}"), args).await.unwrap();
        rows.iter().map(|r| row::get::<String>(r, 3).unwrap()).collect::<Vec<_>>().join("\n")
    };
    let member = plan(viewer("", &["member", "reader"])).await;
    for index in ["images_by_visibility", "images_by_owner", "image_members_by_member"] {
        assert!(member.contains(index), "no {index} in\n{member}");
    }
    let admin = plan(viewer("", &["admin"])).await;
    assert!(admin.contains("INDEX images_by_time"), "{admin}");
    // No walk sorts more than it found by its index.
    assert_eq!(member.matches("SEARCH i USING INDEX").count(), 3, "{member}");
}
