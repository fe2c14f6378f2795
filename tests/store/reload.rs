//! Stores that are added, changed and removed while the gateway serves.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use fanlight::config::Config;
use serde_json::{Value, json};

use crate::support::{ALICE, TestApp};

/// The table of a file store in the folder of the test.
fn store(folder: &Path, id: &str, more: &str) -> String {
    format!("[store.{id}]\ntype = \"file\"\npath = {:?}\n{more}\n", folder.join(id))
}

fn write(folder: &Path, stores: &[(&str, &str)]) {
    let text: String = stores.iter().map(|(id, more)| store(folder, id, more)).collect();
    // As editors and configuration management do it: nobody reads half a file.
    std::fs::write(folder.join("next.toml"), text).unwrap();
    std::fs::rename(folder.join("next.toml"), folder.join("fanlight.toml")).unwrap();
}

/// A gateway whose stores come from a file in its folder.
pub async fn app(stores: &[(&str, &str)]) -> TestApp {
    TestApp::with(|config| {
        let file = config.data_dir.join("fanlight.toml");
        write(&config.data_dir, stores);
        config.stores = Config::load(Some(&file), |_| None).unwrap().stores;
        config.file = Some(file);
    })
    .await
}

async fn reload(app: &TestApp) -> (u16, Value) {
    let reply = app.admin("POST", "/stores/reload", None).await;
    (reply.status.as_u16(), reply.json())
}

fn ids(app: &TestApp) -> Vec<String> {
    app.app.stores.iter().map(|entry| entry.id().to_owned()).collect()
}

const ALPHA: (&str, &str) = ("alpha", "default = true");

#[tokio::test]
async fn stores_are_added_changed_and_removed() {
    let app = app(&[ALPHA, ("beta", "")]).await;
    assert_eq!(reload(&app).await, (200, json!({"result": "unchanged"})));

    let busy = app.app.stores.get("beta").unwrap().enter();
    let changed = ("beta", "weight = 7\ndescription = \"new\"\nlabels = { class = \"hdd\" }");
    write(&app.folder(), &[ALPHA, changed, ("gamma", "")]);
    let expected = json!({"result": "loaded", "added": ["gamma"], "changed": ["beta"], "removed": []});
    assert_eq!(reload(&app).await, (200, expected));
    assert_eq!(ids(&app), ["alpha", "beta", "gamma"]);
    let beta = app.app.stores.get("beta").unwrap();
    assert_eq!((beta.config().weight, beta.facts().labels["class"].as_str()), (7, "hdd"));
    assert_eq!((beta.figures().in_flight, beta.health().healthy), (1, true), "what is known of it stays");
    drop(busy);
    assert_eq!(beta.figures().in_flight, 0);
    assert!(app.app.stores.get("gamma").unwrap().health().healthy, "asked before it serves");
    let info = app.get("/v2/info/stores", ALICE).await.json();
    assert_eq!(info["stores"][1], json!({"id": "beta", "description": "new"}));

    write(&app.folder(), &[("beta", "default = true"), ("gamma", "state = \"read-only\"")]);
    let expected = json!({"result": "loaded", "added": [], "changed": ["beta", "gamma"], "removed": ["alpha"]});
    assert_eq!(reload(&app).await, (200, expected));
    assert_eq!((ids(&app), app.app.stores.default_store().id()), (vec!["beta".into(), "gamma".into()], "beta"));
    let id = app.active(ALICE, "a", b"data").await;
    assert_eq!(app.inventory().await, [format!("beta/{id}")]);
    let text = app.admin("GET", "/metrics", None).await.text();
    assert!(text.contains("fanlight_store_healthy{store=\"beta\"} 1\n"), "{text}");
    assert!(text.contains("fanlight_store_state{store=\"gamma\",state=\"read-only\"} 1\n"), "{text}");
    assert!(!text.contains("store=\"alpha\"}"), "a store that is gone leaves no series: {text}");
}

#[tokio::test]
async fn a_bad_file_is_reported_whole_and_changes_nothing() {
    let app = app(&[ALPHA]).await;
    write(&app.folder(), &[ALPHA, ("beta", "weight = \"much\"\ncolour = 1"), ("gamma", "state = \"off\"")]);
    let (status, body) = reload(&app).await;
    assert_eq!((status, body["result"].as_str()), (409, Some("refused")));
    let faults: Vec<_> = body["faults"].as_array().unwrap().iter().map(|f| (&f["line"], &f["key"])).collect();
    assert_eq!(
        faults,
        [
            (&json!(8), &json!("store.beta.weight")),
            (&json!(9), &json!("store.beta.colour")),
            (&json!(13), &json!("store.gamma.state"))
        ]
    );
    assert!(body["faults"][0]["file"].as_str().unwrap().ends_with("fanlight.toml"));
    assert_eq!(ids(&app), ["alpha"]);
    std::fs::remove_file(app.folder().join("fanlight.toml")).unwrap();
    assert_eq!(reload(&app).await.0, 409);
    assert_eq!(ids(&app), ["alpha"]);
    app.active(ALICE, "a", b"data").await;

    std::fs::create_dir_all(app.folder().join("alpha")).unwrap();
    std::os::unix::fs::symlink(app.folder().join("alpha"), app.folder().join("late")).unwrap();
    write(&app.folder(), &[ALPHA, ("late", "")]);
    let (status, body) = reload(&app).await;
    assert_eq!(status, 409, "{body}");
    assert!(body["faults"][0]["problem"].as_str().unwrap().contains("overlaps"), "{body}");
}

#[tokio::test]
async fn a_store_that_is_referred_to_stays() {
    let app = app(&[ALPHA, ("beta", "")]).await;
    let id = app.active(ALICE, "a", b"data").await;
    write(&app.folder(), &[("beta", "")]);
    let (status, body) = reload(&app).await;
    assert_eq!(status, 409);
    let fault = &body["faults"][0];
    assert_eq!(fault["key"], "store.alpha");
    let problem = "is gone from the file, but the database still knows 1 images (1 of them nowhere else), \
                   0 deletions, 0 uploads and 0 copies under way there";
    assert_eq!(fault["problem"], problem);
    assert!(fault["help"].as_str().unwrap().contains("fanlight store state alpha draining"), "{fault}");
    assert_eq!(app.get(&format!("/v2/images/{id}/file"), ALICE).await.bytes(), "data");

    app.delete(&format!("/v2/images/{id}"), ALICE).await;
    let expected = json!({"result": "loaded", "added": [], "changed": ["beta"], "removed": ["alpha"]});
    assert_eq!(reload(&app).await, (200, expected));
}

#[tokio::test]
async fn a_store_with_images_is_not_moved() {
    let app = app(&[ALPHA]).await;
    let id = app.active(ALICE, "a", b"data").await;
    let elsewhere = store(&app.folder(), "alpha", "").replace("/alpha\"", "/elsewhere\"");
    std::fs::write(app.folder().join("fanlight.toml"), elsewhere).unwrap();
    let (status, body) = reload(&app).await;
    assert_eq!((status, &body["faults"][0]["key"]), (409, &json!("store.alpha")));
    assert_eq!(body["faults"][0]["problem"], "leads elsewhere: 1 copies would be out of reach");
    assert_eq!(app.get(&format!("/v2/images/{id}/file"), ALICE).await.bytes(), "data");
    app.delete(&format!("/v2/images/{id}"), ALICE).await;
    assert_eq!(reload(&app).await.0, 200);
    let id = app.active(ALICE, "a", b"data").await;
    assert!(app.folder().join("elsewhere").join(id).exists());
}

#[tokio::test]
async fn without_a_file_nothing_changes() {
    let app = TestApp::new().await;
    assert_eq!(reload(&app).await, (200, json!({"result": "unchanged"})));
    assert_eq!(ids(&app), ["alpha", "beta"]);
}

/// Creates, uploads, reads and deletes until it is told to stop.
async fn work(app: Arc<TestApp>, stop: Arc<AtomicBool>, done: Arc<AtomicU32>) {
    while !stop.load(Ordering::Relaxed) {
        let id = app.queued(ALICE, "load").await;
        let put = app.upload(&id, ALICE, vec![7; 20_000]).await;
        assert_eq!(put.outcome(), "204");
        assert_eq!(app.get(&format!("/v2/images/{id}/file"), ALICE).await.bytes().len(), 20_000);
        assert_eq!(app.get("/v2/images?limit=5", ALICE).await.status.as_u16(), 200);
        assert_eq!(app.get("/v2/info/stores", ALICE).await.status.as_u16(), 200);
        assert_eq!(app.delete(&format!("/v2/images/{id}"), ALICE).await.status.as_u16(), 204);
        done.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_request_fails_during_two_hundred_reloads() {
    let app = Arc::new(app(&[ALPHA, ("beta", "")]).await);
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let load: Vec<_> = (0..4).map(|_| tokio::spawn(work(app.clone(), stop.clone(), done.clone()))).collect();
    let (mut loaded, mut refused) = (0, 0);
    for round in 0..200 {
        // Gamma comes and goes; every fourth time it may take images, and then it may not go while it has them.
        let weight = format!("weight = {round}");
        let gamma = if round % 4 == 0 { "weight = 1000" } else { "state = \"read-only\"" };
        let all = [ALPHA, ("beta", weight.as_str()), ("gamma", gamma)];
        write(&app.folder(), if round % 2 == 0 { &all } else { &all[..2] });
        match reload(&app).await {
            (200, _) => loaded += 1,
            (409, body) => {
                assert_eq!(body["faults"][0]["key"], "store.gamma", "{body}");
                refused += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    stop.store(true, Ordering::Relaxed);
    for worker in load {
        worker.await.unwrap();
    }
    assert!(loaded > 100, "{loaded} loaded, {refused} refused");
    assert!(done.load(Ordering::Relaxed) >= 4, "{done:?} rounds of work");
    write(&app.folder(), &[ALPHA]);
    assert_eq!(reload(&app).await.0, 200, "nothing is left behind that would hold a store");
    assert_eq!(app.inventory().await, [""; 0]);
}
