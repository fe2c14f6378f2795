//! `kill -9` at each step of an upload and of a delete, on the real binary.
//!
//! `kill_at.py` delivers SIGKILL at the n-th system call that changes what is on the disk, for n = 1, 2, 3 … until the
//! operation gets through: no step is left out, and nothing in the service knows of the test. After each restart the
//! inventory of the stores must equal the database, no image may be stuck, and the same operation must then work.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

/// No run takes more steps than this; the test fails rather than go on for ever.
const MOST_STEPS: u32 = 80;

struct Gateway {
    process: Child,
    port: u16,
}

impl Gateway {
    /// Starts the binary on `data` and waits for its first answer.
    fn start(data: &Path) -> Self {
        let (port, admin) = (free_port(), free_port());
        let config = data.join("fanlight.toml");
        let text = format!(
            "listen = \"127.0.0.1:{port}\"\nadmin_listen = \"127.0.0.1:{admin}\"\nnode = \"kill-test\"\ndata_dir = {data:?}\n\
             [log]\nfilter = \"warn\"\n[identity]\nmode = \"dev\"\n[store.alpha]\ntype = \"file\"\npath = {:?}\n",
            data.join("alpha")
        );
        std::fs::write(&config, text).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_fanlight"))
            .args(["serve", "--config"])
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let gateway = Self { process, port };
        gateway.wait_until_it_answers();
        gateway
    }

    /// Has the process killed at its `step`-th change of the disk from now on. (Those of its start are not counted.)
    fn kill_at(&self, step: u32) -> Child {
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

    fn wait_until_it_answers(&self) {
        let begun = Instant::now();
        while request(self.port, "GET", "/healthcheck", "", b"").is_none() {
            assert!(begun.elapsed() < Duration::from_secs(60), "the gateway does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn send(&self, method: &str, path: &str, content_type: &str, body: &[u8]) -> Option<(u16, Value)> {
        request(self.port, method, path, content_type, body)
    }

    /// Ends the gateway; tells whether it got past the step at which it was to be killed.
    fn ended(mut self, mut killer: Child) -> bool {
        // What follows an answer (events, the next round of a job) may reach the step too.
        std::thread::sleep(Duration::from_millis(200));
        let survived = self.process.try_wait().unwrap().is_none();
        drop(self);
        let killed = killer.wait().unwrap().success();
        survived && !killed
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// One request on a connection of its own; `None` when no whole answer came.
fn request(port: u16, method: &str, path: &str, content_type: &str, body: &[u8]) -> Option<(u16, Value)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Auth-Token: a:blue:member\r\n\
         Content-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let text = String::from_utf8_lossy(&answer);
    let status = text.split(' ').nth(1)?.parse().ok()?;
    let json = text.split_once("\r\n\r\n").and_then(|(_, b)| serde_json::from_str(b).ok()).unwrap_or(Value::Null);
    Some((status, json))
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

fn queued(gateway: &Gateway) -> String {
    let wish = br#"{"name":"k","disk_format":"raw","container_format":"bare"}"#;
    let (status, body) = gateway.send("POST", "/v2/images", "application/json", wish).unwrap();
    assert_eq!(status, 201, "{body}");
    body["id"].as_str().unwrap().to_owned()
}

#[test]
fn killed_at_any_step_of_an_upload_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let bytes = vec![5_u8; 5 << 20];
    for step in 1..MOST_STEPS {
        let gateway = Gateway::start(data);
        let id = queued(&gateway);
        let file = format!("/v2/images/{id}/file");
        let killer = gateway.kill_at(step);
        let answer = gateway.send("PUT", &file, "application/octet-stream", &bytes);
        let survived = gateway.ended(killer);

        let gateway = Gateway::start(data);
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
        let gateway = Gateway::start(data);
        let id = queued(&gateway);
        let path = format!("/v2/images/{id}");
        let up = gateway.send("PUT", &format!("{path}/file"), "application/octet-stream", &[1; 100_000]);
        assert_eq!(up.map(|a| a.0), Some(204));
        let killer = gateway.kill_at(step);
        let answer = gateway.send("DELETE", &path, "", b"");
        let survived = gateway.ended(killer);

        let gateway = Gateway::start(data);
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
