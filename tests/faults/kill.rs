//! `kill -9` at each step of an upload and of a delete, on the real binary.
//!
//! strace delivers SIGKILL at the n-th system call of a kind that changes the disk, for n = 1, 2, 3 … until the
//! operation gets through: no step is left out, and nothing in the service knows of the test. After each restart the
//! inventory of the stores must equal the database, no image may be stuck, and the same operation must then work.

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

/// Calls that change what is on the disk. (SQLite's own are among them: commits die midway too.)
const STEPS: &str = "fsync,fdatasync,rename,renameat,renameat2,linkat,unlink,unlinkat,mkdir,ftruncate";
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

    /// Lets strace kill the process at the `step`-th call from now on.
    fn trace(&self, step: u32) {
        let pid = self.process.id().to_string();
        let inject = format!("inject={STEPS}:signal=KILL:when={step}");
        let mut strace = Command::new("strace")
            .args(["-f", "-q", "-e", &format!("trace={STEPS}"), "-e", &inject, "-o", "/dev/null", "-p", &pid])
            .stderr(Stdio::null())
            .spawn()
            .expect("strace is installed (tests/run installs it)");
        let is_free = || std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap().contains("TracerPid:\t0");
        let begun = Instant::now();
        while is_free() {
            assert!(begun.elapsed() < Duration::from_secs(10), "strace cannot attach");
            assert!(strace.try_wait().unwrap().is_none(), "strace ended: is ptrace allowed here?");
            std::thread::sleep(Duration::from_millis(5));
        }
        // All threads are attached a moment after the first.
        std::thread::sleep(Duration::from_millis(50));
        std::thread::spawn(move || strace.wait());
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

    fn is_alive(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
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
        let mut gateway = Gateway::start(data);
        let id = queued(&gateway);
        let file = format!("/v2/images/{id}/file");
        gateway.trace(step);
        let answer = gateway.send("PUT", &file, "application/octet-stream", &bytes);
        std::thread::sleep(Duration::from_millis(100));
        let survived = gateway.is_alive();
        drop(gateway);

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
            assert!(step > 3, "strace injected nothing: {step} steps cannot be all");
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
        let mut gateway = Gateway::start(data);
        let id = queued(&gateway);
        let path = format!("/v2/images/{id}");
        let up = gateway.send("PUT", &format!("{path}/file"), "application/octet-stream", &[1; 100_000]);
        assert_eq!(up.map(|a| a.0), Some(204));
        gateway.trace(step);
        let answer = gateway.send("DELETE", &path, "", b"");
        std::thread::sleep(Duration::from_millis(100));
        let survived = gateway.is_alive();
        drop(gateway);

        let gateway = Gateway::start(data);
        if assert_in_order(&gateway, data, &id).is_some() {
            assert_ne!(answer.map(|a| a.0), Some(204), "acknowledged, then undone, step {step}");
            let again = gateway.send("DELETE", &path, "", b"");
            assert_eq!(again.map(|a| a.0), Some(204), "step {step}");
            assert_eq!(assert_in_order(&gateway, data, &id), None);
        }
        if survived {
            assert!(step > 2, "strace injected nothing: {step} steps cannot be all");
            return;
        }
    }
    panic!("a delete takes more than {MOST_STEPS} steps");
}
