//! `kill -9` during a copy between stores, on the real binary: it goes on where it was, and nothing is left behind.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::kill::MOST_STEPS;
use crate::support::Gateway;

const MIB: u64 = 1 << 20;

/// The end of a configuration whose last table is the store `alpha`.
fn second_store(data: &Path, rate: u64) -> String {
    let path = data.join("beta");
    format!("default = true\n[store.beta]\ntype = \"file\"\npath = {path:?}\n[copies]\nrate_mib_s = {rate}\n")
}

fn objects(data: &Path, store: &str) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(data.join(store))
        .map(|d| d.map(|e| e.unwrap().file_name().into_string().unwrap()).collect())
        .unwrap_or_default();
    names.sort();
    names
}

fn active(gateway: &Gateway, bytes: &[u8]) -> String {
    let id = gateway.queued();
    let up = gateway.send("PUT", &format!("/v2/images/{id}/file"), "application/octet-stream", bytes);
    assert_eq!(up.map(|a| a.0), Some(204));
    id
}

fn begin(gateway: &Gateway, id: &str) -> Option<(u16, Value)> {
    gateway.operate("POST", "/copies", &json!({"image": id, "store": "beta"}).to_string())
}

/// Asks until the copy is as wished; every answer on the way is given to `seen`.
fn until(gateway: &Gateway, copy: &str, seen: impl Fn(&Value), wished: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let (_, now) = gateway.operate("GET", &format!("/copies/{copy}"), "").unwrap();
        seen(&now);
        if wished(&now) {
            return now;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{now}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_copy_that_is_killed_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let bytes: Vec<u8> = (0..48 * MIB).map(|i| (i % 251) as u8).collect();
    let gateway = Gateway::start(data, &second_store(data, 8));
    let id = active(&gateway, &bytes);
    let (status, copy) = begin(&gateway, &id).unwrap();
    assert_eq!(status, 202, "{copy}");
    let copy = copy["id"].as_str().unwrap().to_owned();
    let before = until(&gateway, &copy, |_| (), |now| now["done"].as_u64() > Some(0));
    let safe = before["done"].as_u64().unwrap();
    assert!(safe < 48 * MIB, "{before}");
    drop(gateway);
    assert_eq!(objects(data, "beta"), [format!(".{id}.partial")]);

    let gateway = Gateway::start(data, &second_store(data, 0));
    let seen = |now: &Value| assert!(now["done"].as_u64().unwrap() >= safe, "fell back: {now}");
    let after = until(&gateway, &copy, seen, |now| now["state"] == "done");
    assert_eq!(after["done"], 48 * MIB);
    let copied = gateway.metric("fanlight_copy_bytes_total");
    assert!(copied > 0 && copied <= 48 * MIB - safe, "{copied} bytes after {safe} were safe");
    assert_eq!(std::fs::read(data.join("beta").join(&id)).unwrap(), bytes);
    assert_eq!((objects(data, "alpha"), objects(data, "beta")), (vec![id.clone()], vec![id.clone()]));
    let image = gateway.send("GET", &format!("/v2/images/{id}"), "", b"").unwrap().1;
    assert_eq!(image["stores"], "alpha,beta");
}

fn fanlight(data: &Path, args: &[&str]) -> (i32, String, String) {
    let run = Command::new(env!("CARGO_BIN_EXE_fanlight"))
        .args(args)
        .arg("--config")
        .arg(data.join("fanlight.toml"))
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (run.status.code().unwrap(), text(run.stdout), text(run.stderr))
}

#[test]
fn the_command_line_copies_waits_and_cancels() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let gateway = Gateway::start(data, &second_store(data, 2));
    let (small, large) = (active(&gateway, &[1; 1 << 20]), active(&gateway, &vec![2; 64 << 20]));
    let (code, out, progress) = fanlight(data, &["store", "copy", &small, "--store", "beta", "--wait"]);
    assert_eq!((code, out.as_str()), (0, format!("image {small} is in store beta (1 MiB)\n").as_str()), "{progress}");
    assert!(
        progress.contains("done       1 MiB of 1 MiB (100 %)  alpha → beta") && !progress.contains('#'),
        "{progress}"
    );
    let (code, _, refused) = fanlight(data, &["store", "copy", &small, "--store", "beta"]);
    assert_eq!(code, 1);
    assert!(refused.contains("has a copy in store beta"), "{refused}");

    let (code, out, _) = fanlight(data, &["store", "copy", &large, "--json"]);
    let copy: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &copy["store"], &copy["state"]), (0, &json!("beta"), &json!("queued")));
    let id = copy["id"].as_str().unwrap();
    let (code, table, _) = fanlight(data, &["store", "copies"]);
    assert!(code == 0 && table.contains("64 MiB"), "{table}");
    assert_eq!(fanlight(data, &["store", "copies", "--cancel", id]).0, 0);
    until(&gateway, id, |_| (), |now| now["state"] == "cancelled");
    assert_eq!(objects(data, "beta"), [small]);
}

#[test]
fn killed_at_any_step_of_a_copy_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    for step in 1..MOST_STEPS {
        let gateway = Gateway::start(data, &second_store(data, 0));
        let id = active(&gateway, &[3; 300_000]);
        let killer = gateway.kill_at(step);
        let answer = begin(&gateway, &id);
        std::thread::sleep(Duration::from_millis(1500));
        let survived = gateway.ended(killer);

        let gateway = Gateway::start(data, &second_store(data, 0));
        let (_, all) = gateway.operate("GET", "/copies", "").unwrap();
        let newest = all["copies"].as_array().unwrap().iter().find(|c| c["image_id"] == id.as_str()).cloned();
        if let Some(copy) = &newest {
            until(&gateway, copy["id"].as_str().unwrap(), |_| (), |now| now["state"] == "done");
        }
        assert!(newest.is_some() || answer.is_none(), "acknowledged, then forgotten, step {step}");
        let expected = if newest.is_some() { vec![id.clone()] } else { vec![] };
        assert_eq!(objects(data, "beta"), expected, "step {step}");
        let gone = gateway.send("DELETE", &format!("/v2/images/{id}"), "", b"");
        assert_eq!(gone.map(|a| a.0), Some(204));
        assert_eq!((objects(data, "alpha"), objects(data, "beta")), (vec![], vec![]), "step {step}");
        if survived {
            assert!(step > 5, "nothing was killed: {step} steps cannot be all");
            return;
        }
    }
    panic!("a copy takes more than {MOST_STEPS} steps");
}
