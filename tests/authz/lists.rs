//! Lists equal deciding row by row, whatever the policies, the caller, the request and the page.

use std::{cell::Cell, sync::Arc};

use fanlight::{
    authz::{self, Action, Policies, Resource},
    context::{Caller, Context},
    image::{self, Image, Visibility, query::*},
    protect,
    rules::Ruleset,
    wasm::Plugins,
};
use jiff::Timestamp;
use proptest::{
    prelude::*,
    sample::select,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use crate::{
    db::list::{PROJECTS, holds, order, populate, query},
    support::TestApp,
};

/// Sources of single tests on an image, one in eight of which no database can be told.
fn test() -> impl Strategy<Value = String> {
    let choice = |all: &[&str]| select(all.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>());
    let visibility = || choice(&["public", "community", "shared", "private"]);
    let compare = choice(&["<", "<=", ">", ">=", "==", "!="]);
    let project =
        || choice(&["Project::\"p\"", "Project::\"q\"", "Project::\"P\"", "Project::\"\"", "principal.project"]);
    let set = || choice(&["members", "pending", "rejected"]);
    let pattern = || choice(&["a", "A", "a*", "*", "*é*", "a ", "?", "[a]*", "_", "%", "v*", "*|*", "\\*"]);
    let same = choice(&["==", "!="]);
    prop_oneof![
        4 => (visibility(), same).prop_map(|(v, op)| format!("resource.visibility {op} \"{v}\"")),
        1 => (visibility(), visibility()).prop_map(|(a, b)| format!("[\"{a}\", \"{b}\"].contains(resource.visibility)")),
        1 => choice(&["active", "queued"]).prop_map(|s| format!("resource.status == \"{s}\"")),
        1 => choice(&["resource.protected", "resource.os_hidden", "resource.protected == false", "resource has name",
            "resource has owner", "resource has size", "resource has disk_format", "resource.hasTag(\"K\")",
            "principal.roles.contains(\"member\")", "principal has project", "principal in Domain::\"d\""]),
        1 => choice(&["a", "A", "a ", "é", "🦀"]).prop_map(|n| format!("(resource has name && resource.name == \"{n}\")")),
        1 => pattern().prop_map(|p| format!("(resource has name && resource.name like \"{p}\")")),
        1 => (compare, 0..4_i64).prop_map(|(op, n)| format!("(resource has size && resource.size {op} {n})")),
        3 => project().prop_map(|p| format!("(principal has project && resource has owner && resource.owner == {p})")),
        1 => choice(&["Domain::\"d\"", "Project::\"q\"", "principal", "[Project::\"p\", Project::\"P\"]"])
            .prop_map(|g| format!("(resource has owner && resource.owner in {g})")),
        1 => Just("(resource has owner && principal in resource.owner)".to_owned()),
        3 => (set(), project()).prop_map(|(s, p)| format!("(principal has project && resource.{s}.contains({p}))")),
        1 => set().prop_map(|s| format!("principal in resource.{s}")),
        1 => choice(&["contains(\"t\")", "contains(\"u\")", "containsAll([\"t\", \"T\"])", "containsAny([\"T\", \"u\"])"])
            .prop_map(|t| format!("resource.tags.{t}")),
        1 => choice(&["== \"v\"", "!= \"v\"", "like \"V*\"", "== \"nope\""])
            .prop_map(|t| format!("(resource.hasTag(\"k\") && resource.getTag(\"k\") {t})")),
        3 => choice(&["resource.tags.isEmpty()", "resource.tags == [\"t\"]", "resource.status == resource.visibility",
            "(resource has size && resource.size * 2 == 4)", "resource.hasTag(resource.status)",
            "(resource has owner && resource.members.contains(resource.owner))"]),
    ]
}

fn expression() -> impl Strategy<Value = String> {
    test().prop_recursive(4, 12, 3, |inner| {
        let two = || (inner.clone(), inner.clone());
        prop_oneof![
            two().prop_map(|(a, b)| format!("({a} && {b})")),
            two().prop_map(|(a, b)| format!("({a} || {b})")),
            inner.clone().prop_map(|a| format!("!({a})")),
            two().prop_map(|(a, b)| format!("(({a}) == ({b}))")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("(if {a} then {b} else {c})")),
        ]
    })
}

/// Clauses of policies: permits of images, forbids of images, forbids of a property.
type Clauses = (Vec<String>, Vec<String>, Option<String>);

fn clauses() -> impl Strategy<Value = Clauses> {
    let some = |range| proptest::collection::vec(expression(), range);
    // Now and then more than a database is told.
    let heavy = (expression(), 300..700_usize).prop_map(|(test, tags)| {
        let tags: Vec<_> = (0..tags).map(|n| format!("\"x{n}\"")).collect();
        format!("({test} || resource.tags.containsAny([\"T\", {}]))", tags.join(", "))
    });
    let forbids = (some(0..3_usize), proptest::option::weighted(0.1, heavy)).prop_map(|(mut all, heavy)| {
        all.extend(heavy);
        all
    });
    (some(1..4_usize), forbids, proptest::option::weighted(0.3, expression()))
}

fn policies((permits, forbids, hidden): &Clauses) -> Result<Policies, String> {
    let mut text = String::from(
        "@id(\"list\") permit (principal, action == Action::\"get_images\", resource);
         @id(\"read\") permit (principal, action == Action::\"read_property\", resource);",
    );
    let image = "principal, action == Action::\"get_image\", resource";
    for (n, clause) in permits.iter().enumerate() {
        text.push_str(&format!("@id(\"permit{n}\") permit ({image}) when {{ {clause} }};"));
    }
    for (n, clause) in forbids.iter().enumerate() {
        text.push_str(&format!("@id(\"forbid{n}\") forbid ({image}) when {{ {clause} }};"));
    }
    if let Some(clause) = hidden {
        // The image of a property is an attribute of it.
        let clause = clause.replace("resource", "resource.image");
        let scope = "principal, action == Action::\"read_property\", resource == Property::\"k\"";
        text.push_str(&format!("@id(\"hidden\") forbid ({scope}) when {{ {clause} }};"));
    }
    Policies::load(&[("random.cedar".into(), text.into_bytes())])
        .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

fn context(policies: Policies, project: Option<&str>, member: bool) -> Context {
    let rules = Ruleset {
        generation: 1,
        policies,
        plugins: Plugins::default(),
        digest: String::new(),
        loaded_at: Timestamp::now(),
    };
    let caller = Caller {
        user_id: "alice".into(),
        project_id: project.map(str::to_owned),
        project_domain_id: Some("d".into()),
        user_domain_id: Some("e".into()),
        roles: member.then(|| "member".to_owned()).into_iter().collect(),
        ..Caller::default()
    };
    Context { request_id: "req-test".into(), caller, rules: Arc::new(rules), shadow: None, journal: Arc::default() }
}

/// The rule of the default list, said once more: what is permitted, but not others' community images nor what others
/// share with the project unless it gave the answer that the request names.
fn wanted(q: &ListQuery, project: Option<&str>, i: &Image) -> bool {
    let own = project.is_some() && i.owner.as_deref() == project;
    let answer = project.and_then(|p| i.member(p)).map(|m| m.status);
    let fits = match q.visibility {
        VisibilityFilter::Default => own || i.visibility != Visibility::Community,
        VisibilityFilter::All => true,
        VisibilityFilter::Only(v) => i.visibility == v,
        VisibilityFilter::Nothing => false,
    };
    let answered = match (q.member_status, answer) {
        (Some(wanted), Some(given)) => own || i.visibility != Visibility::Shared || wanted == given,
        _ => true,
    };
    fits && answered
}

/// Row by row, as the gate says.
fn expected(ctx: &Context, q: &ListQuery, images: &[Image]) -> Vec<Image> {
    let readable = |i: &Image, f: &Filter| match f {
        Filter::Property(name, _) => authz::allows(ctx, Action::ReadProperty, Resource::Property(i, name)).unwrap(),
        _ => true,
    };
    let mut rows: Vec<Image> = images
        .iter()
        .filter(|i| wanted(q, ctx.project(), i) && i.os_hidden == q.hidden)
        .filter(|i| q.filters.iter().all(|f| holds(f, i) && readable(i, f)))
        .filter(|i| authz::allows(ctx, Action::GetImage, Resource::Image(i)).unwrap())
        .cloned()
        .collect();
    rows.sort_by(|a, b| order(&q.sort, a, b));
    rows.into_iter().map(|i| protect::visible(ctx, i).unwrap()).collect()
}

/// All pages, one after the other.
async fn listed(app: &TestApp, ctx: &Context, q: &ListQuery, limit: u32, most: usize) -> Vec<Image> {
    let mut all: Vec<Image> = Vec::new();
    let mut marker = None;
    loop {
        let page = image::list(&app.app, ctx, q, marker.as_deref(), limit).await.unwrap();
        assert!(page.images.len() == limit as usize || page.next.is_none(), "a short page in between");
        all.extend(page.images.into_iter().map(|view| view.image));
        assert!(all.len() <= most, "rows repeat");
        match page.next {
            Some(next) => {
                assert_eq!(Some(&next), all.last().map(|i| &i.id));
                marker = Some(next);
            }
            None => return all,
        }
    }
}

#[test]
fn lists_equal_deciding_row_by_row() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    // The app gives its connections back to the runtime when it goes.
    let _entered = runtime.enter();
    let (app, images) = runtime.block_on(async {
        let app = TestApp::new().await;
        let images = populate(&app.app.db).await;
        (app, images)
    });
    let config = Config { failure_persistence: None, max_global_rejects: 1 << 20, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let project = proptest::option::weighted(0.9, select(PROJECTS.to_vec()));
    let queries = proptest::collection::vec(query(), 3);
    let (exact, rows) = (Cell::new(0_usize), Cell::new(0_usize));
    let cases = (clauses(), project, any::<bool>(), queries);
    let outcome = runner.run(&cases, |(clauses, project, member, queries)| {
        // The validator refuses what can never hold.
        let policies = policies(&clauses).map_err(TestCaseError::reject)?;
        let ctx = context(policies, project, member);
        exact.set(exact.get() + usize::from(authz::sight(&ctx).unwrap().grant.exact));
        for (q, _, limit) in queries {
            let expected = expected(&ctx, &q, &images);
            rows.set(rows.get() + expected.len());
            let listed = runtime.block_on(listed(&app, &ctx, &q, limit, images.len()));
            prop_assert_eq!(listed, expected);
        }
        Ok(())
    });
    if let Err(difference) = outcome {
        panic!("{difference}");
    }
    let (exact, rows, cases) = (exact.get(), rows.get(), Config::default().cases as usize);
    assert!(exact > cases / 3 && exact < cases, "{exact} of {cases} grants are exact: both kinds must be tried");
    assert!(rows > cases, "only {rows} rows in {cases} cases");
}
