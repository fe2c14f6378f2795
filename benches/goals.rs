//! What the gate and its lists must not exceed, as percentiles and ratios: `cargo bench --bench functions -- goals`.

use std::{
    fmt::Display,
    hint::black_box,
    time::{Duration, Instant},
};

use fanlight::{
    App,
    authz::{self, Action, Resource},
    config::Config,
    context::Context,
    image::{self, MemberStatus, query::*},
    protect,
};
use serde_json::Value;
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor, Row};

use super::authz::{CONDITION, context, image};

const DECISIONS: usize = 20_000;
const LISTS: usize = 400;
const PAGE: u32 = 20;

/// The page of a member of `blue`, as one would write it by hand.
const BY_HAND: &str = "
    SELECT i.*,
        (SELECT json_group_array(json_array(t.tag)) FROM image_tags t WHERE t.image_id = i.id),
        (SELECT json_group_array(json_array(p.name, p.value)) FROM image_properties p WHERE p.image_id = i.id),
        (SELECT json_group_array(json_array(m.member, m.status, m.created_at, m.updated_at))
            FROM image_members m WHERE m.image_id = i.id),
        (SELECT json_group_array(json_array(l.id, l.store, l.url, l.created_at))
            FROM image_locations l WHERE l.image_id = i.id)
    FROM (
        SELECT * FROM (SELECT * FROM images WHERE deleted = 0 AND os_hidden = 0 AND visibility = 'public'
            AND status <> 'killed' ORDER BY created_at DESC, id DESC LIMIT 21)
        UNION ALL
        SELECT * FROM (SELECT * FROM images WHERE deleted = 0 AND os_hidden = 0 AND owner = 'blue'
            AND visibility <> 'public' AND status <> 'killed' ORDER BY created_at DESC, id DESC LIMIT 21)
        UNION ALL
        SELECT * FROM (SELECT i.* FROM image_members m CROSS JOIN images i WHERE i.id = m.image_id AND m.member = 'blue'
            AND m.status = 'accepted' AND visibility = 'shared' AND (owner IS NULL OR owner <> 'blue')
            AND deleted = 0 AND os_hidden = 0 AND i.status <> 'killed' ORDER BY i.created_at DESC, i.id DESC LIMIT 21)
        ORDER BY created_at DESC, id DESC LIMIT 21
    ) i ORDER BY created_at DESC, id DESC";

/// 20,000 images of 200 projects: a tenth public, a tenth shared, with properties and tags.
const IMAGES: [&str; 4] = [
    "INSERT INTO images (id, name, status, visibility, owner, protected, os_hidden, size, container_format, disk_format,
        min_disk, min_ram, created_at, updated_at, version, deleted)
     WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000)
     SELECT printf('00000000-0000-4000-8000-%012d', n), 'image ' || n, 'active',
        CASE n % 10 WHEN 0 THEN 'public' WHEN 1 THEN 'shared' ELSE 'private' END,
        CASE WHEN n % 200 = 7 THEN 'blue' ELSE 'project ' || n % 200 END, 0, 0, n, 'bare', 'raw', 0, 0,
        1700000000000000 + n * 7919 % 20011 * 1000000, 1700000000000000, 1, 0 FROM n",
    "INSERT INTO image_properties SELECT id, 'os_distro', 'debian' FROM images UNION ALL
     SELECT id, 'os_version', '13' FROM images UNION ALL SELECT id, 'hw_disk_bus', 'virtio' FROM images",
    "INSERT INTO image_tags SELECT id, 'golden' FROM images UNION ALL SELECT id, 'tested' FROM images",
    "INSERT INTO image_members SELECT id, 'blue', 'accepted', created_at, created_at FROM images
     WHERE visibility = 'shared' AND size % 40 = 1",
];

/// Policies beside the shipped ones, of which `applying` speak of `action` and the others of something else.
fn more(count: usize, applying: usize, action: &str) -> String {
    let policy = |n: usize| {
        let action = if n < applying { action } else { "download_image" };
        format!(
            "@id(\"more.{n}\") forbid (principal, action == Action::\"{action}\", resource) when {{
                principal has project && principal.project == Project::\"tenant {n}\" && resource.tags.contains(\"t{n}\")
            }};\n"
        )
    };
    (0..count).map(policy).collect()
}

/// The times of many calls, sorted.
fn times(count: usize, mut call: impl FnMut()) -> Vec<Duration> {
    for _ in 0..count / 10 {
        call();
    }
    let mut times: Vec<Duration> = (0..count)
        .map(|_| {
            let began = Instant::now();
            call();
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    times
}

fn percentile(times: &[Duration], percent: usize) -> Duration {
    times.get(times.len() * percent / 100).copied().expect("some times")
}

fn row(what: &str, got: impl Display, goal: &str) {
    eprintln!("{what:<64} {got:>24}   {goal}");
}

fn decisions() {
    let image = image(10);
    let decide = |more: &str| {
        let ctx = context(more);
        let ask = || authz::allows(black_box(&ctx), Action::GetImage, Resource::Image(black_box(&image)));
        assert!(ask().expect("a decision"));
        let times = times(DECISIONS, || drop(black_box(ask())));
        let (p50, p99) = (percentile(&times, 50), percentile(&times, 99));
        format!("p50 {:.1} p99 {:.1} us", p50.as_secs_f64() * 1e6, p99.as_secs_f64() * 1e6)
    };
    row("a decision, shipped policies, entities included", decide(""), "p50 15 us, p99 50 us");
    row("a decision, 1,000 more policies, 20 apply", decide(&more(1000, 20, "get_image")), "p50 40 us");

    let (ctx, image) = (context(CONDITION), super::authz::image(100));
    let mut images: Vec<_> = (0..DECISIONS / 5).map(|_| image.clone()).collect();
    let times = times(DECISIONS / 10, || {
        let shown = protect::visible(&ctx, images.pop().expect("enough images"));
        assert_eq!(black_box(shown).expect("shown").properties.len(), 100);
    });
    row(
        "100 properties under a condition",
        format!("p50 {:.1} us", percentile(&times, 50).as_secs_f64() * 1e6),
        "100 us",
    );
}

async fn by_hand(connection: &mut AnyConnection) -> usize {
    let rows = sqlx::query(BY_HAND).fetch_all(connection).await.expect("rows");
    for row in &rows {
        for column in 0..row.len() - 4 {
            black_box(row.try_get_raw(column).expect("a column"));
        }
        for column in row.len() - 4..row.len() {
            let text: Option<String> = row.try_get(column).expect("JSON");
            black_box(text.map(|t| serde_json::from_str::<Value>(&t).expect("JSON")));
        }
    }
    rows.len()
}

async fn list(app: &App, ctx: &Context, query: &ListQuery) -> usize {
    image::list(app, ctx, query, None, PAGE).await.expect("a page").images.len()
}

fn lists() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads");
    let _entered = runtime.enter();
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite:{}?mode=rwc", folder.path().join("list.db").display());
    let mut config = Config::development(folder.path());
    config.database.url = Some(url.clone().into());
    let (app, mut connection) = runtime.block_on(async {
        let app = App::open(config).await.expect("an app");
        app.db.migrate().await.expect("migrated");
        let mut connection = AnyConnection::connect(&url).await.expect("a connection");
        for sql in ["PRAGMA cache_size = -16000", "PRAGMA mmap_size = 268435456"].into_iter().chain(IMAGES) {
            connection.execute(AssertSqlSafe(sql)).await.expect("a statement");
        }
        (app, connection)
    });
    let sort = vec![(SortKey::CreatedAt, Direction::Desc), (SortKey::Id, Direction::Desc)];
    let query = ListQuery { member_status: Some(MemberStatus::Accepted), sort, ..ListQuery::default() };

    assert_eq!(runtime.block_on(by_hand(&mut connection)), PAGE as usize + 1);
    let contexts = [
        ("shipped policies", context(""), "1.15 x"),
        ("1,000 more policies, 20 apply", context(&more(1000, 20, "get_image")), "2 x"),
        ("1,000 more policies, all apply", context(&more(1000, 1000, "get_image")), "2 x"),
    ];
    let mut hand = Vec::new();
    let mut lists = vec![Vec::new(); contexts.len()];
    // In turns, so that what else the machine does falls on all of them alike.
    for round in 0..LISTS {
        let began = Instant::now();
        runtime.block_on(by_hand(&mut connection));
        hand.push(began.elapsed());
        for ((what, ctx, _), times) in contexts.iter().zip(&mut lists) {
            let began = Instant::now();
            let rows = runtime.block_on(list(&app, ctx, &query));
            let took = began.elapsed();
            assert_eq!(rows, PAGE as usize);
            if round == 0 {
                row(&format!("the first list of a caller, {what}"), format!("{took:.0?}"), "");
            }
            times.push(took);
        }
    }
    hand.sort_unstable();
    let hand = percentile(&hand, 50);
    row("20 of 20,000 images, SQL by hand", format!("p50 {hand:.0?}"), "");
    for ((what, _, goal), mut times) in contexts.iter().zip(lists) {
        times.sort_unstable();
        let p50 = percentile(&times, 50);
        let ratio = p50.as_secs_f64() / hand.as_secs_f64();
        row(&format!("20 of 20,000 images, {what}"), format!("p50 {p50:.0?} = {ratio:.2} x"), goal);
    }
}

/// Measures and prints everything.
pub fn run() {
    decisions();
    lists();
}
