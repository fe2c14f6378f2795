//! The real binary as a process of its own, asked by plain HTTP.

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

/// A running gateway; killed when dropped.
pub struct Gateway {
    pub process: Child,
    pub port: u16,
    pub admin: u16,
}

impl Gateway {
    /// Starts the binary on `data`, with one store and `more` at the end of its configuration, and waits for its first
    /// answer.
    pub fn start(data: &Path, more: &str) -> Self {
        let (port, admin) = (free_port(), free_port());
        let config = data.join("fanlight.toml");
        let text = format!(
            "listen = \"127.0.0.1:{port}\"\nadmin_listen = \"127.0.0.1:{admin}\"\nnode = \"test\"\ndata_dir = {data:?}\n\
             [log]\nfilter = \"warn\"\n[identity]\nmode = \"dev\"\n[store.alpha]\ntype = \"file\"\npath = {:?}\n{more}",
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
        let gateway = Self { process, port, admin };
        let begun = Instant::now();
        while request(port, "GET", "/healthcheck", "", b"").is_none() {
            assert!(begun.elapsed() < Duration::from_secs(60), "the gateway does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        gateway
    }

    pub fn send(&self, method: &str, path: &str, content_type: &str, body: &[u8]) -> Option<(u16, Value)> {
        request(self.port, method, path, content_type, body)
    }

    /// Asks the operator's listener.
    pub fn operate(&self, method: &str, path: &str, body: &str) -> Option<(u16, Value)> {
        let content_type = if body.is_empty() { "" } else { "application/json" };
        request(self.admin, method, path, content_type, body.as_bytes())
    }

    /// The value of a counter or gauge, added up over its labels.
    pub fn metric(&self, name: &str) -> u64 {
        let text = String::from_utf8(answer(self.admin, "GET", "/metrics", "", b"").unwrap()).unwrap();
        let lines = text.lines().filter(|l| l.starts_with(&format!("{name}{{")) || l.starts_with(&format!("{name} ")));
        lines.map(|l| l.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as u64).sum()
    }

    /// A queued raw image; returns its id.
    pub fn queued(&self) -> String {
        let wish = br#"{"name":"k","disk_format":"raw","container_format":"bare"}"#;
        let (status, body) = self.send("POST", "/v2/images", "application/json", wish).unwrap();
        assert_eq!(status, 201, "{body}");
        body["id"].as_str().unwrap().to_owned()
    }

    /// Bytes of memory that are resident.
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
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
    let answer = answer(port, method, path, content_type, body)?;
    let text = String::from_utf8_lossy(&answer);
    let status = text.split(' ').nth(1)?.parse().ok()?;
    let json = text.split_once("\r\n\r\n").and_then(|(_, b)| serde_json::from_str(b).ok()).unwrap_or(Value::Null);
    Some((status, json))
}

fn answer(port: u16, method: &str, path: &str, content_type: &str, body: &[u8]) -> Option<Vec<u8>> {
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
    Some(answer)
}
