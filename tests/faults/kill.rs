//! `kill -9` at each step of an upload and of a delete, on the real binary.
//!
//! `kill_at.py` delivers SIGKILL at the n-th system call that changes what is on the disk, for n = 1, 2, 3 … until the
//! operation gets through: no step is left out, and nothing in the service knows of the test. After each restart the
//! inventory of the stores must equal the database, no image may be stuck, and the same operation must then work.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::support::Gateway;

/// No run takes more steps than this; the test fails rather than go on for ever.
pub const MOST_STEPS: u32 = 80;

impl Gateway {
    /// Has the process killed at its `step`-th change of the disk from now on. (Those of its start are not counted.)
    pub fn kill_at(&self, step: u32) -> Child {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/faults/kill_at.py");
        let mut killer = Command::new("python3")
            .args([script, &self.process.id().to_string(), &step.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(killer.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        assert_eq!(ready, "ready\n", "the gateway cannot be traced: is ptrace allowed here?");
        killer
    }

    /// Ends the gateway; tells whether it got past the step at which it was to be killed.
    pub fn ended(mut self, mut killer: Child) -> bool {
        // What follows an answer (events, the next round of a job) may reach the step too.
        std::thread::sleep(Duration::from_millis(200));
        let survived = self.process.try_wait().unwrap().is_none();
        drop(self);
        let killed = killer.wait().unwrap().success();
        survived && !killed
    }
}

fn objects(data: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(data.join("alpha"))
        .map(|d| d.map(|e| e.unwrap().file_name().into_string().unwrap()).collect())
        .unwrap_or_default();
    names.sort();
    names
}

/// Waits for the reaper and the collector: inventory equals database, and `id` is in no state of transit.
fn assert_in_order(gateway: &Gateway, data: &Path, id: &str) -> Option<String> {
    let begun = Instant::now();
    loop {
        let image = gateway.send("GET", &format!("/v2/images/{id}"), "", b"").filter(|(status, _)| *status == 200);
        let status = image.map(|(_, body)| body["status"].as_str().unwrap().to_owned());
        let expected: &[String] = if status.as_deref() == Some("active") { &[id.to_owned()] } else { &[] };
        let settled = matches!(status.as_deref(), None | Some("queued" | "active"));
        if settled && objects(data) == expected {
            return status;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "left behind: {status:?} {:?}", objects(data));
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn killed_at_any_step_of_an_upload_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let bytes = vec![5_u8; 5 << 20];
    for step in 1..MOST_STEPS {
        let gateway = Gateway::start(data, "");
        let id = gateway.queued();
        let file = format!("/v2/images/{id}/file");
        let killer = gateway.kill_at(step);
        let answer = gateway.send("PUT", &file, "application/octet-stream", &bytes);
        let survived = gateway.ended(killer);

        let gateway = Gateway::start(data, "");
        let status = assert_in_order(&gateway, data, &id);
        assert_ne!(status, None, "an upload never loses the image, step {step}");
        if status.as_deref() == Some("queued") {
            assert_ne!(answer.map(|a| a.0), Some(204), "acknowledged, then lost, step {step}");
            let again = gateway.send("PUT", &file, "application/octet-stream", &bytes);
            assert_eq!(again.map(|a| a.0), Some(204), "the same upload works after the restart, step {step}");
        }
        let gone = gateway.send("DELETE", &format!("/v2/images/{id}"), "", b"");
        assert_eq!(gone.map(|a| a.0), Some(204));
        if survived {
            assert!(step > 3, "nothing was killed: {step} steps cannot be all");
            return;
        }
    }
    panic!("an upload takes more than {MOST_STEPS} steps");
}

#[test]
fn killed_at_any_step_of_a_delete_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    for step in 1..MOST_STEPS {
        let gateway = Gateway::start(data, "");
        let id = gateway.queued();
        let path = format!("/v2/images/{id}");
        let up = gateway.send("PUT", &format!("{path}/file"), "application/octet-stream", &[1; 100_000]);
        assert_eq!(up.map(|a| a.0), Some(204));
        let killer = gateway.kill_at(step);
        let answer = gateway.send("DELETE", &path, "", b"");
        let survived = gateway.ended(killer);

        let gateway = Gateway::start(data, "");
        if assert_in_order(&gateway, data, &id).is_some() {
            assert_ne!(answer.map(|a| a.0), Some(204), "acknowledged, then undone, step {step}");
            let again = gateway.send("DELETE", &path, "", b"");
            assert_eq!(again.map(|a| a.0), Some(204), "step {step}");
            assert_eq!(assert_in_order(&gateway, data, &id), None);
        }
        if survived {
            assert!(step > 2, "nothing was killed: {step} steps cannot be all");
            return;
        }
    }
    panic!("a delete takes more than {MOST_STEPS} steps");
}
