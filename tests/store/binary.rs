//! Stores of the real binary: SIGHUP, restarts, and the commands that people type.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::Gateway;

/// Exit code and JSON of `fanlight store …`.
fn store(data: &Path, args: &[&str]) -> (i32, Value) {
    let out = Command::new(env!("CARGO_BIN_EXE_fanlight"))
        .arg("store")
        .args(args)
        .args(["--json", "--config"])
        .arg(data.join("fanlight.toml"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let json = serde_json::from_str(&text)
        .unwrap_or_else(|_| json!({"stdout": text, "stderr": String::from_utf8_lossy(&out.stderr).into_owned()}));
    (out.status.code().unwrap(), json)
}

fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn stores_are_listed_drained_added_and_scrubbed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let gateway = Gateway::start(data, "");
    let (code, list) = store(data, &["list"]);
    assert_eq!((code, &list["stores"][0]["id"], &list["stores"][0]["state"]), (0, &json!("alpha"), &json!("up")));

    let (code, answer) = store(data, &["state", "alpha", "draining"]);
    assert_eq!((code, &answer["holds"]["images"]), (0, &json!(0)));
    let (code, answer) = store(data, &["state", "../alpha", "up"]);
    assert_eq!((code, &answer["message"]), (1, &json!("Store ../alpha is not configured.")));

    // Killed and started again: the state is in the database.
    drop(gateway);
    assert_eq!(store(data, &["list"]).0, 4, "nobody answers");
    let gateway = Gateway::start(data, "");
    let state = |gateway: &Gateway| gateway.operate("GET", "/stores", "").unwrap().1["stores"][0]["state"].clone();
    assert_eq!(state(&gateway), "draining");
    assert_eq!(store(data, &["state", "alpha", "--reset"]).0, 0);
    assert_eq!(state(&gateway), "up");

    // SIGHUP takes a new store from the file.
    let file = data.join("fanlight.toml");
    let old = std::fs::read_to_string(&file).unwrap();
    let beta = format!("default = true\n[store.beta]\ntype = \"file\"\npath = {:?}\n", data.join("beta"));
    std::fs::write(&file, format!("{old}{beta}")).unwrap();
    assert!(Command::new("kill").args(["-HUP", &gateway.process.id().to_string()]).status().unwrap().success());
    wait_for("SIGHUP adds the store", || gateway.operate("GET", "/stores", "").unwrap().1["stores"][1]["id"] == "beta");
    assert_eq!(store(data, &["reload"]), (0, json!({"result": "unchanged"})));
    std::fs::write(&file, format!("{old}{beta}colour = 1\n")).unwrap();
    assert_eq!(store(data, &["reload"]).0, 3, "a file that is bad keeps the command from finding the gateway");
    let (status, body) = gateway.operate("POST", "/stores/reload", "").unwrap();
    assert_eq!((status, &body["faults"][0]["key"]), (409, &json!("store.beta.colour")));
    std::fs::write(&file, &old).unwrap();
    assert_eq!(store(data, &["reload"]).1["removed"], json!(["beta"]));

    // The scrubber is a process of its own beside the gateway.
    let id = gateway.queued();
    assert_eq!(
        gateway.send("PUT", &format!("/v2/images/{id}/file"), "application/octet-stream", b"data").unwrap().0,
        204
    );
    let (code, report) = store(data, &["scrub", "--all"]);
    assert_eq!((code, &report["stores"][0]["hashed"]), (0, &json!(1)), "{report}");
    let orphan = data.join("alpha/11111111-1111-4111-8111-111111111111");
    std::fs::write(&orphan, "x").unwrap();
    assert_eq!(store(data, &["scrub"]).0, 0, "too young to be judged");
    let (code, report) = store(data, &["inventory"]);
    assert_eq!((code, &report["stores"][0]["objects"], &report["stores"][0]["known"]), (0, &json!(2), &json!(1)));
    let (code, report) = store(data, &["scrub", "alpha", "--older-than", "0s"]);
    assert_eq!((code, &report["stores"][0]["findings"][0]["kind"]), (1, &json!("orphan")), "{report}");
    assert!(orphan.exists());
    assert_eq!(store(data, &["scrub", "--older-than", "0s", "--delete-orphans"]).0, 0);
    assert!(!orphan.exists());
    assert_eq!(store(data, &["scrub", "none"]).0, 2);
    std::fs::write(data.join("alpha").join(&id), "dat4").unwrap();
    let (code, report) = store(data, &["scrub", "--all"]);
    assert_eq!((code, &report["stores"][0]["findings"][0]["kind"]), (1, &json!("corrupt")), "{report}");
}
