//! The list query against an oracle in memory: filters, visibility, order and paging, under one plain grant.

use std::{cmp::Ordering, sync::Arc};

use fanlight::{
    db::Db,
    image::{query::*, *},
};
use jiff::Timestamp;
use proptest::{prelude::*, sample::select, strategy::ValueTree, test_runner::TestRunner};

use super::{begin, create, image, on_each, permit, published};
use fanlight::quota::Limits;

pub const PROJECTS: [&str; 3] = ["p", "q", "P"];
pub const NAMES: [&str; 5] = ["a", "A", "a ", "é", "🦀"];

/// Who lists: the project, and whether it lists all projects.
pub type Who = (Option<&'static str>, bool);

/// What everybody sees, their own, and what is shared with them; or everything.
fn viewer((project, all_projects): Who) -> Viewer {
    let text = |column, values: &[&str]| {
        let values = values.iter().map(|v| (*v).to_owned()).collect();
        Condition::Text(Text::Column(column), TextTest::In(values))
    };
    let mut seen = vec![text(TextColumn::Visibility, &["public", "community"]), Condition::constant(all_projects)];
    if let Some(project) = project {
        let answers = [MemberStatus::Pending, MemberStatus::Accepted, MemberStatus::Rejected];
        let members = answers.map(|answer| Condition::Member(answer, project.into()));
        seen.push(text(TextColumn::Owner, &[project]));
        seen.push(Condition::all([text(TextColumn::Visibility, &["shared"]), Condition::any(members)]));
    }
    let grant = Arc::new(Grant::new(&Condition::any(seen), project));
    Viewer { project: project.map(str::to_owned), all_projects, grant }
}

fn matches(q: &ListQuery, viewer: &Viewer, i: &Image) -> bool {
    let own = i.owner.is_some() && i.owner == viewer.project;
    let member = viewer.project.as_deref().and_then(|p| i.member(p));
    let shared = i.visibility == Visibility::Shared
        && member.is_some_and(|m| q.member_status.is_none_or(|status| m.status == status));
    let default = match viewer.all_projects {
        true => i.visibility != Visibility::Community || own,
        false => i.visibility == Visibility::Public || own || shared,
    };
    let all = viewer.all_projects || default || i.visibility == Visibility::Community;
    let visible = match q.visibility {
        VisibilityFilter::Default => default,
        VisibilityFilter::All => all,
        VisibilityFilter::Only(v) => all && i.visibility == v,
        VisibilityFilter::Nothing => false,
    };
    visible && i.status != Status::Killed && i.os_hidden == q.hidden && q.filters.iter().all(|f| holds(f, i))
}

pub fn holds(filter: &Filter, i: &Image) -> bool {
    let int = |c: &IntColumn| match c {
        IntColumn::Size => i.size,
        IntColumn::VirtualSize => i.virtual_size,
        IntColumn::MinDisk => Some(i.min_disk.into()),
        IntColumn::MinRam => Some(i.min_ram.into()),
    };
    match filter {
        Filter::Nothing => false,
        Filter::TextIn(column, values) => {
            let value = match column {
                TextColumn::Id => Some(i.id.clone()),
                TextColumn::Name => i.name.clone(),
                TextColumn::Visibility => Some(i.visibility.as_str().to_owned()),
                TextColumn::Status => Some(i.status.as_str().to_owned()),
                TextColumn::ContainerFormat => i.container_format.clone(),
                TextColumn::DiskFormat => i.disk_format.clone(),
                TextColumn::Owner => i.owner.clone(),
                TextColumn::Checksum => i.checksum.clone(),
                TextColumn::OsHashAlgo => i.os_hash_algo.clone(),
                TextColumn::OsHashValue => i.os_hash_value.clone(),
            };
            value.is_some_and(|v| values.contains(&v))
        }
        Filter::IntEq(c, n) => int(c).is_some_and(|v| v as i64 == *n),
        Filter::IntMin(c, n) => int(c).is_some_and(|v| v as i64 >= *n),
        Filter::IntMax(c, n) => int(c).is_some_and(|v| v as i64 <= *n),
        Filter::Protected(yes) => i.protected == *yes,
        Filter::Time(column, comparison, at) => {
            let time = if *column == TimeColumn::CreatedAt { i.created_at } else { i.updated_at };
            let order = Timestamp::from_second(time.as_microsecond().div_euclid(1_000_000)).expect("a time").cmp(at);
            match comparison {
                Comparison::Gt => order.is_gt(),
                Comparison::Gte => order.is_ge(),
                Comparison::Lt => order.is_lt(),
                Comparison::Lte => order.is_le(),
                Comparison::Eq => order.is_eq(),
                Comparison::Neq => order.is_ne(),
            }
        }
        Filter::Tag(tag) => i.tags.contains(tag),
        Filter::Property(name, value) => i.properties.get(name) == Some(value),
    }
}

pub fn order(sort: &[(SortKey, Direction)], a: &Image, b: &Image) -> Ordering {
    sort.iter().fold(Ordering::Equal, |order, (key, direction)| {
        let next = match key {
            SortKey::Name => a.name.cmp(&b.name),
            SortKey::Status => a.status.as_str().cmp(b.status.as_str()),
            SortKey::ContainerFormat => a.container_format.cmp(&b.container_format),
            SortKey::DiskFormat => a.disk_format.cmp(&b.disk_format),
            SortKey::Size => a.size.cmp(&b.size),
            SortKey::Id => a.id.cmp(&b.id),
            SortKey::CreatedAt => a.created_at.cmp(&b.created_at),
            SortKey::UpdatedAt => a.updated_at.cmp(&b.updated_at),
        };
        order.then(if *direction == Direction::Desc { next.reverse() } else { next })
    })
}

fn filter() -> impl Strategy<Value = Filter> {
    let ints = || select(vec![IntColumn::Size, IntColumn::VirtualSize, IntColumn::MinDisk, IntColumn::MinRam]);
    let text = |c, values: &[&str]| {
        let values: Vec<String> = values.iter().map(|v| (*v).to_owned()).collect();
        proptest::collection::vec(select(values), 1..3).prop_map(move |v| Filter::TextIn(c, v))
    };
    let times = select(vec![TimeColumn::CreatedAt, TimeColumn::UpdatedAt]);
    let comparisons =
        select(vec![Comparison::Gt, Comparison::Gte, Comparison::Lt, Comparison::Lte, Comparison::Eq, Comparison::Neq]);
    prop_oneof![
        text(TextColumn::Name, &NAMES),
        text(TextColumn::Status, &["queued", "active", "nope"]),
        text(TextColumn::DiskFormat, &["raw", "RAW", "a\0"]),
        text(TextColumn::Owner, &PROJECTS),
        (ints(), 0..4_i64).prop_map(|(c, n)| Filter::IntEq(c, n)),
        (ints(), 0..4_i64).prop_map(|(c, n)| Filter::IntMin(c, n)),
        (ints(), 0..4_i64).prop_map(|(c, n)| Filter::IntMax(c, n)),
        any::<bool>().prop_map(Filter::Protected),
        (times, comparisons, 0..8_i64).prop_map(|(t, c, half)| Filter::Time(
            t,
            c,
            Timestamp::from_microsecond(half * 500_000).expect("a time")
        )),
        select(vec!["t", "T", "u"]).prop_map(|t| Filter::Tag(t.into())),
        select(vec![("k", "v"), ("k", "V"), ("K", "v")]).prop_map(|(k, v)| Filter::Property(k.into(), v.into())),
        Just(Filter::Nothing),
    ]
}

pub fn query() -> impl Strategy<Value = (ListQuery, Who, u32)> {
    let keys = select(vec![
        SortKey::Name,
        SortKey::Status,
        SortKey::ContainerFormat,
        SortKey::DiskFormat,
        SortKey::Size,
        SortKey::Id,
        SortKey::CreatedAt,
        SortKey::UpdatedAt,
    ]);
    let direction = || any::<bool>().prop_map(|asc| if asc { Direction::Asc } else { Direction::Desc });
    let visibility = select(vec![
        VisibilityFilter::Default,
        VisibilityFilter::Default,
        VisibilityFilter::All,
        VisibilityFilter::Only(Visibility::Private),
        VisibilityFilter::Only(Visibility::Shared),
        VisibilityFilter::Only(Visibility::Community),
        VisibilityFilter::Only(Visibility::Public),
        VisibilityFilter::Nothing,
    ]);
    let status =
        proptest::option::of(select(vec![MemberStatus::Pending, MemberStatus::Accepted, MemberStatus::Rejected]));
    let project = proptest::option::of(select(PROJECTS.to_vec()));
    (
        proptest::collection::vec(filter(), 0..3),
        visibility,
        status,
        any::<bool>(),
        proptest::collection::vec((keys, direction()), 0..3),
        direction(),
        (project, any::<bool>(), 1..7_u32),
    )
        .prop_map(
            |(filters, visibility, member_status, hidden, mut sort, tail, (project, all_projects, limit))| {
                sort.extend([(SortKey::CreatedAt, tail), (SortKey::Id, tail)]);
                let query = ListQuery { filters, visibility, member_status, hidden: hidden && limit == 1, sort };
                (query, (project, all_projects), limit)
            },
        )
}

/// Images that differ in all that lists look at, many of them alike in each single thing.
pub async fn populate(db: &Db) -> Vec<Image> {
    let visibilities = [Visibility::Private, Visibility::Shared, Visibility::Community, Visibility::Public];
    let statuses = [MemberStatus::Pending, MemberStatus::Accepted, MemberStatus::Rejected];
    let mut ids = Vec::new();
    for n in 0..60_usize {
        let mut i = image(match n % 14 {
            0 => None,
            7 => Some(""),
            _ => Some(PROJECTS[n % 3]),
        });
        i.name = (n % 4 != 0).then(|| NAMES[n % 5].to_owned());
        i.visibility = visibilities[n % 4];
        i.protected = n % 3 == 0;
        i.os_hidden = n % 11 == 0;
        i.disk_format = (n % 5 != 0).then(|| "raw".to_owned());
        i.container_format = (n % 3 != 0).then(|| "bare".to_owned());
        i.min_disk = u32::try_from(n % 3).expect("small");
        i.min_ram = u32::try_from(n % 2).expect("small");
        i.created_at = Timestamp::from_microsecond(500_000 * i64::try_from(n % 6).expect("small") + 7).expect("a time");
        i.updated_at = i.created_at;
        i.tags = ["t", "T"].into_iter().take(n % 3).map(str::to_owned).collect();
        i.properties = [("k", "v"), ("K", "V")].into_iter().take(n % 3).map(|(k, v)| (k.into(), v.into())).collect();
        let made = create(db, &i).await;
        for (m, project) in PROJECTS.iter().enumerate().filter(|_| n % 4 == 1) {
            db.add_member(&permit(), &made, project, None, &[]).await.expect("a member");
            let status = statuses[(n / 4 + m) % 3];
            db.set_member_status(&permit(), &made, project, status, &[]).await.expect("a status");
        }
        if n % 5 == 1 {
            let size = u64::try_from(n % 4).expect("small");
            let read = db.image(&made.id).await.expect("a read").expect("it");
            let upload = db.begin_upload(&permit(), &read, begin(Some(size), Limits::default())).await.expect("begun");
            db.publish_upload(&permit(), &upload, &published(size), &[]).await.expect("published");
        }
        if n % 13 == 12 {
            let read = db.image(&made.id).await.expect("a read").expect("it");
            db.delete_image(&permit(), &read, &[]).await.expect("deleted");
        } else {
            ids.push(made.id);
        }
    }
    let mut images = Vec::new();
    for id in ids {
        images.push(db.image(&id).await.expect("a read").expect("it"));
    }
    images
}

#[test]
fn lists_equal_the_oracle_page_by_page() {
    on_each(|db, kind| async move {
        let images = populate(&db).await;
        let mut runner = TestRunner::deterministic();
        for _ in 0..250 {
            let (query, who, limit) = query().new_tree(&mut runner).expect("a query").current();
            let viewer = viewer(who);
            let mut expected: Vec<_> = images.iter().filter(|i| matches(&query, &viewer, i)).cloned().collect();
            expected.sort_by(|a, b| order(&query.sort, a, b));
            let mut listed: Vec<Image> = Vec::new();
            loop {
                let page = Page { after: listed.last(), limit };
                let rows = db.list_images(&query, &viewer, page).await.expect("a page");
                let last = rows.len() < limit as usize;
                listed.extend(rows);
                assert!(listed.len() <= images.len(), "rows repeat: {query:?} {who:?} on {kind}");
                if last {
                    break;
                }
            }
            assert_eq!(listed, expected, "{query:?} {who:?} limit {limit} on {kind}");
        }
    });
}
