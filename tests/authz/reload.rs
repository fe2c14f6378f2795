//! Rules change while requests run: no request fails, memory does not grow, and what is wrong never serves.
//!
//! `FANLIGHT_TEST_SWAPS` sets how often the rules are swapped; from 1,000 on, resident memory must stay flat.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{ALICE, Gateway, TestApp};

/// Swaps that bring a plug-in to compile, too.
const PLUGIN_EVERY: usize = 20;
const CLIENTS: usize = 8;
/// Between two requests of a client: the swaps get a share of the machine too.
const PAUSE: Duration = Duration::from_millis(5);
/// Swaps from which on there are enough to speak of memory.
const MANY: usize = 1_000;

/// Callers of each client: what is kept of callers and of what they may do is filled and thrown away with each swap.
const CALLERS: u64 = 50;

/// A client that keeps its connection and stops at the first answer that is not the right one.
async fn ask_until(done: &AtomicBool, asked: &AtomicU64, port: u16, id: &str, number: usize) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let (image, list) =
        (format!("http://127.0.0.1:{port}/v2/images/{id}"), format!("http://127.0.0.1:{port}/v2/images"));
    let mut generation = 0;
    while !done.load(Ordering::Relaxed) {
        for url in [&image, &list] {
            let caller = asked.load(Ordering::Relaxed) % CALLERS;
            let token = format!("user-{number}-{caller}:blue:member,role-{caller}");
            let answer = client.get(url).header("x-auth-token", token).send().await.unwrap();
            assert_eq!(answer.status().as_u16(), 200);
            let now: u64 = answer.headers()["x-fanlight-rules"].to_str().unwrap().parse().unwrap();
            assert!(now >= generation, "generation {now} after {generation}");
            generation = now;
            assert!(answer.text().await.unwrap().contains(id));
            asked.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Puts other content in force: other policies each time, now and then another plug-in. By rename, as editors and
/// deployments do it, so that the watcher sees no half of it.
fn swap(gateway: &Gateway, rules: &Path, number: usize) {
    let text = format!(
        "@id(\"swap\")\nforbid (principal, action == Action::\"get_image\", resource)\n\
         when {{ principal.roles.contains(\"swap-{number}\") }};\n"
    );
    put(&rules.join("policies"), "swap.cedar", &text);
    if number.is_multiple_of(PLUGIN_EVERY) {
        let plugins = rules.join("plugins");
        let manifest = fs::read_to_string(plugins.join("most-free.toml")).unwrap();
        let manifest = manifest.lines().filter(|line| !line.starts_with("# swap")).collect::<Vec<_>>().join("\n");
        put(&plugins, "most-free.toml", &format!("{manifest}\n# swap {number}\n"));
    }
    let (status, body) = gateway.operate("POST", "/rules/reload", "").unwrap();
    // Each content is one generation, though the watcher looks too.
    assert_eq!((status, body["generation"].as_u64()), (200, Some(number as u64 + 1)), "{body}");
}

fn put(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join(".new"), text).unwrap();
    fs::rename(folder.join(".new"), folder.join(name)).unwrap();
}

fn median(values: &[u64]) -> u64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swaps_under_load_fail_no_request_and_keep_no_memory() {
    fanlight::telemetry::install_crypto();
    let swaps = std::env::var("FANLIGHT_TEST_SWAPS").map_or(300, |n| n.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path(), "");
    let id = gateway.queued();
    let (done, asked) = (AtomicBool::new(false), AtomicU64::new(0));
    let (mut resident, began) = (Vec::with_capacity(swaps), Instant::now());
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (done, asked, gateway, id) = (&done, &asked, &gateway, &id);
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(ask_until(done, asked, gateway.port, id, client));
            });
        }
        // Ends the clients if a swap fails, or the scope would wait for them for ever.
        let _stop = Stop(&done);
        for number in 1..=swaps {
            swap(&gateway, folder.path(), number);
            resident.push(gateway.resident());
        }
    });
    let asked = asked.load(Ordering::Relaxed);
    assert!(asked > swaps as u64, "{asked} requests are no load");
    // The first fifth warms caches and pools up.
    let (early, late) = (median(&resident[swaps / 5..swaps * 2 / 5]), median(&resident[swaps * 4 / 5..]));
    #[expect(clippy::cast_precision_loss, reason = "bytes of memory stay far below 2^52")]
    let growth = late as f64 / early as f64 - 1.0;
    eprintln!(
        "{swaps} swaps in {:.0?}, {asked} requests of {} callers, none failed; resident {early} then {late} bytes, {:+.1} %",
        began.elapsed(),
        CLIENTS as u64 * CALLERS,
        growth * 100.0
    );
    assert!(swaps < MANY || growth < 0.05, "resident memory grew from {early} to {late}");
}

struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What an operator's hand or a broken copy can do to a folder of policies, and a part of what the status says of it.
type Damage = (&'static str, fn(&Path), &'static str);

const DAMAGES: [Damage; 7] = [
    ("half written", |policies| truncate(&policies.join("images.cedar")), "images.cedar"),
    (
        "syntax error",
        |policies| fs::write(policies.join("more.cedar"), "@id(\"x\")\npermit (principal action, resource);").unwrap(),
        "more.cedar",
    ),
    (
        "type error",
        |policies| {
            let text = "@id(\"x\")\npermit (principal, action, resource)\nwhen { principal.roles == 1 };";
            fs::write(policies.join("more.cedar"), text).unwrap();
        },
        "more.cedar",
    ),
    (
        "cut off between two policies",
        |policies| {
            let text = fs::read_to_string(policies.join("images.cedar")).unwrap();
            let (whole, _) = text.rsplit_once("// For `add_image`").unwrap();
            fs::write(policies.join("images.cedar"), whole).unwrap();
        },
        "images.cedar",
    ),
    ("a file deleted", |policies| fs::remove_file(policies.join("metadefs.cedar")).unwrap(), "metadefs.cedar"),
    (
        "every file deleted",
        |policies| {
            for path in fs::read_dir(policies).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file())
            {
                fs::remove_file(path).unwrap();
            }
        },
        "*.cedar",
    ),
    ("folder deleted", |policies| fs::remove_dir_all(policies).unwrap(), "policies"),
];

fn truncate(file: &Path) {
    let whole = fs::read(file).unwrap();
    fs::write(file, &whole[..whole.len() / 2]).unwrap();
}

async fn status(app: &TestApp) -> Value {
    app.admin("GET", "/rules", None).await.json()
}

#[tokio::test]
async fn the_operator_confirms_what_vanished() {
    let app = TestApp::new().await;
    app.rule("@id(\"freeze\") forbid (principal, action in Action::\"write\", resource);").await;
    fs::remove_file(app.folder().join("policies/more.cedar")).unwrap();
    let reply = app.admin("POST", "/rules/reload", None).await;
    assert_eq!((reply.status.as_u16(), &reply.json()["generation"]), (409, &json!(2)));
    let fault = &reply.json()["faults"][0];
    assert_eq!(fault["file"], "more.cedar");
    insta::assert_snapshot!(fault["text"].as_str().unwrap(), @"the file is gone, and `freeze` with it; if that is meant, `fanlight rules reload --accept-removals`");
    assert_eq!(app.post("/v2/images", ALICE, json!({"name": "x"})).await.status.as_u16(), 403);
    assert_eq!(app.admin("POST", "/rules/reload?accept=1", None).await.status.as_u16(), 400);
    let reply = app.admin("POST", "/rules/reload?accept_removals=true", None).await;
    assert_eq!((reply.status.as_u16(), &reply.json()["generation"]), (200, &json!(3)));
    assert_eq!(app.post("/v2/images", ALICE, json!({"name": "x"})).await.status.as_u16(), 201);
}

#[tokio::test]
async fn whatever_happens_to_the_folder_the_old_rules_serve_and_the_status_says_why() {
    for (name, damage, file) in DAMAGES {
        let app = TestApp::new().await;
        let id = app.active(ALICE, "a", b"data").await;
        let policies = app.folder().join("policies");
        let before = status(&app).await;
        damage(&policies);
        let reply = app.admin("POST", "/rules/reload", None).await;
        assert_eq!(reply.status.as_u16(), 409, "{name}");
        let now = status(&app).await;
        for unchanged in ["generation", "digest", "loaded_at", "policies"] {
            assert_eq!(now[unchanged], before[unchanged], "{name}");
        }
        let fault = &now["faults"][0];
        assert!(fault["file"].as_str().unwrap().ends_with(file), "{name}: {fault}");
        assert!(!fault["text"].as_str().unwrap().is_empty(), "{name}: {fault}");
        assert!(now["refused_since"].as_str() > before["loaded_at"].as_str(), "{name}: {now}");
        assert_eq!(app.admin("GET", "/health", None).await.json()["status"], "degraded", "{name}");

        let image = app.get(&format!("/v2/images/{id}"), ALICE).await;
        assert_eq!((image.status.as_u16(), image.header("x-fanlight-rules")), (200, "1"), "{name}");
        assert_eq!(app.post("/v2/images", ALICE, json!({"name": "b"})).await.status.as_u16(), 201, "{name}");

        let _ = fs::remove_dir_all(&policies);
        fs::create_dir(&policies).unwrap();
        for (name, bytes) in fanlight::authz::Policies::shipped() {
            fs::write(policies.join(name), bytes).unwrap();
        }
        let reply = app.admin("POST", "/rules/reload", None).await;
        assert_eq!((reply.status.as_u16(), &reply.json()["generation"]), (200, &json!(1)), "{name}: it is as it was");
        assert_eq!(reply.json()["refused_since"], Value::Null, "{name}");
    }
}
