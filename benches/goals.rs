//! What the gate and its lists must not exceed, as percentiles and ratios: `cargo bench --bench functions -- goals`.
//! Ends with exit code 1 when a goal is missed.

use std::{
    hint::black_box,
    process::ExitCode,
    time::{Duration, Instant},
};

use fanlight::{
    App,
    authz::{self, Action, Policies, Resource},
    config::Config,
    context::{Caller, Context},
    image::{self, MemberStatus, query::*},
    import::{self, Original, Rules},
    protect,
};
use serde_json::Value;
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor, Row};

use super::authz::{CONDITION, context, image};

const DECISIONS: usize = 20_000;
const LISTS: usize = 400;
/// Lists by callers that were never seen before.
const FIRST_LISTS: usize = 50;
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

/// Hides properties of some images, so that it is not enough to know the name.
const OF_IMAGES: &str = r#"@id("bench.of.images") forbid (principal, action == Action::"read_property", resource)
    when { resource.image.visibility == "public" && resource.name like "licence_*" };"#;

/// What the policies beside the shipped ones look at.
#[derive(Clone, Copy)]
enum Of {
    /// The caller first: for a list, nothing of them is left.
    Caller,
    /// The image only: for a list, all of them are left.
    Image,
}

/// Policies beside the shipped ones, of which `applying` speak of `get_image` and the others of something else.
fn more(count: usize, applying: usize, of: Of) -> String {
    let policy = |n: usize| {
        let action = if n < applying { "get_image" } else { "download_image" };
        let caller = format!("principal has project && principal.project == Project::\"tenant {n}\"");
        let image = format!("resource.hasTag(\"frozen\") && resource.getTag(\"frozen\") == \"{n}\"");
        let condition = match of {
            Of::Caller => format!("{caller} && {image}"),
            Of::Image => image,
        };
        format!(
            "@id(\"more.{n}\") forbid (principal, action == Action::\"{action}\", resource) when {{ {condition} }};\n"
        )
    };
    (0..count).map(policy).collect()
}

/// Somebody of project `blue` whom nobody has seen before.
fn stranger(ctx: &Context, number: usize) -> Context {
    Context { caller: Caller { user_id: format!("stranger {number}"), ..ctx.caller.clone() }, ..ctx.clone() }
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

/// The table, and how many goals it misses.
#[derive(Default)]
struct Table {
    missed: usize,
}

impl Table {
    /// A row; what has no goal is for comparison.
    fn row(&mut self, what: &str, got: f64, unit: &str, goal: Option<f64>) {
        let missed = goal.is_some_and(|goal| got > goal);
        self.missed += usize::from(missed);
        let goal = goal.map_or_else(String::new, |goal| format!("{goal} {unit}"));
        let verdict = if missed { "MISSED" } else { "" };
        eprintln!("{what:<66} {:>12} {goal:>9}  {verdict}", format!("{got:.2} {unit}"));
    }

    fn micros(&mut self, what: &str, got: Duration, goal: Option<f64>) {
        self.row(what, got.as_secs_f64() * 1e6, "us", goal);
    }
}

fn decisions(table: &mut Table) {
    let image = image(10);
    let sets = [
        ("shipped policies", String::new(), 15.0, Some(50.0)),
        ("1,000 more policies, 20 can apply", more(1000, 20, Of::Caller), 40.0, None),
        ("1,000 more policies, 20 can apply and look at the image", more(1000, 20, Of::Image), 40.0, None),
    ];
    for (what, policies, p50, p99) in sets {
        let ctx = context(&policies);
        let ask = |ctx: &Context| authz::allows(black_box(ctx), Action::GetImage, Resource::Image(black_box(&image)));
        assert!(ask(&ctx).expect("a decision"));
        let warm = times(DECISIONS, || drop(black_box(ask(&ctx))));
        let mut strangers = (0..).map(|n| stranger(&ctx, n)).take(DECISIONS * 2).collect::<Vec<_>>().into_iter();
        let cold = times(DECISIONS, || drop(black_box(ask(&strangers.next().expect("enough callers")))));
        for (caller, times) in [("a known caller", warm), ("a new caller", cold)] {
            table.micros(&format!("decision, {what}, {caller}: p50"), percentile(&times, 50), Some(p50));
            table.micros(&format!("decision, {what}, {caller}: p99"), percentile(&times, 99), p99);
        }
    }
    for (what, policies, known) in [
        ("by name, a known caller", CONDITION, true),
        ("by name, a new caller", CONDITION, false),
        ("by name and image", OF_IMAGES, true),
    ] {
        let (ctx, image) = (context(policies), super::authz::image(100));
        let asked = (0..).map(|n| if known { ctx.clone() } else { stranger(&ctx, n) });
        let mut asked: Vec<_> = asked.map(|ctx| (ctx, image.clone())).take(DECISIONS / 5).collect();
        let times = times(DECISIONS / 10, || {
            let (ctx, image) = asked.pop().expect("enough images");
            assert_eq!(black_box(protect::visible(&ctx, image)).expect("shown").properties.len(), 100);
        });
        table.micros(&format!("100 properties, {what}: p50"), percentile(&times, 50), Some(100.0));
    }
}

fn imports(table: &mut Table) {
    let began = Instant::now();
    let rules = Rules::glance().expect("rules");
    let (files, _) = import::write(&rules).expect("policies");
    let files: Vec<_> = files.into_iter().map(|(name, text)| (name, text.into_bytes())).collect();
    let policies = Policies::load(&files).expect("valid");
    let prove = |count| {
        let findings = import::prove(Original { rules: &rules, protections: None }, &policies, count).expect("answers");
        findings.values().map(|f| f.differences).sum::<u64>()
    };
    assert_eq!(prove(20_000), 0);
    table.row("import of Glance's 67 rules, with 20,000 questions", began.elapsed().as_secs_f64(), "s", Some(1.0));
    let began = Instant::now();
    #[expect(clippy::cast_precision_loss, reason = "few")]
    table.row("differences in 1,000,000 questions", prove(1_000_000) as f64, "", Some(0.0));
    table.row("1,000,000 questions", began.elapsed().as_secs_f64(), "s", None);
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

fn lists(table: &mut Table) {
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
    let sets = [
        ("shipped policies", String::new(), Some(1.15)),
        ("1,000 more policies, 20 can apply", more(1000, 20, Of::Caller), Some(2.0)),
        ("1,000 more policies, all can apply", more(1000, 1000, Of::Caller), Some(2.0)),
        ("1,000 more policies, 20 look at the image", more(1000, 20, Of::Image), Some(2.0)),
        ("1,000 more policies, all look at the image", more(1000, 1000, Of::Image), None),
    ]
    .map(|(what, policies, goal)| (what, context(&policies), goal));
    let mut hand = Vec::new();
    let mut lists = vec![Vec::new(); sets.len()];
    // In turns, so that what else the machine does falls on all of them alike.
    for _ in 0..LISTS {
        let began = Instant::now();
        runtime.block_on(by_hand(&mut connection));
        hand.push(began.elapsed());
        for ((_, ctx, _), times) in sets.iter().zip(&mut lists) {
            let began = Instant::now();
            assert_eq!(runtime.block_on(list(&app, ctx, &query)), PAGE as usize);
            times.push(began.elapsed());
        }
    }
    hand.sort_unstable();
    let hand = percentile(&hand, 50);
    table.micros("20 of 20,000 images, SQL by hand: p50", hand, None);
    for ((what, ctx, goal), mut times) in sets.iter().zip(lists) {
        times.sort_unstable();
        let ratio = |times: &[Duration]| percentile(times, 50).as_secs_f64() / hand.as_secs_f64();
        table.row(&format!("20 of 20,000 images, {what}"), ratio(&times), "x", *goal);
        let strangers: Vec<_> = (0..FIRST_LISTS).map(|n| stranger(ctx, n)).collect();
        let first = |ctx: &Context| {
            let began = Instant::now();
            assert_eq!(runtime.block_on(list(&app, ctx, &query)), PAGE as usize);
            began.elapsed()
        };
        let mut times: Vec<_> = strangers.iter().map(first).collect();
        times.sort_unstable();
        table.row(&format!("20 of 20,000 images, {what}, a new caller"), ratio(&times), "x", None);
    }
}

/// Measures and prints everything.
pub fn run() -> ExitCode {
    eprintln!("{:<66} {:>12} {:>9}", "what", "got", "goal");
    let mut table = Table::default();
    decisions(&mut table);
    lists(&mut table);
    imports(&mut table);
    eprintln!(
        "{}",
        if table.missed == 0 { "every goal is met".into() } else { format!("{} goals are missed", table.missed) }
    );
    ExitCode::from(u8::from(table.missed > 0))
}
