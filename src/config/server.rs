//! The sections about the process itself: `[database]`, `[rules]`, `[http]`, `[log]`.

use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

use super::{
    load::{self, Environment},
    section::Section,
};

/// `[database]`
#[derive(Debug, Clone)]
pub struct Database {
    /// Connection URL, wherever it came from; SQLite in the data folder if not set. Secret: may hold a password.
    pub url: Option<SecretString>,
    /// Connections at most.
    pub max_connections: u32,
    /// Seconds to wait for a connection before 503.
    pub acquire_timeout_s: u64,
}

impl Default for Database {
    fn default() -> Self {
        Self { url: None, max_connections: 16, acquire_timeout_s: 10 }
    }
}

impl Database {
    pub(super) fn read(section: Section<'_>, env: Environment<'_>) -> Self {
        let d = Self::default();
        let url = load::secret(&section, "url", "url_file", "FANLIGHT_DATABASE_URL", env);
        let schemes = ["sqlite:", "postgres://", "postgresql://", "mysql://", "mariadb://"];
        if let Some(url) = &url
            && !schemes.iter().any(|scheme| url.expose_secret().starts_with(scheme))
        {
            section.fault("url", "names no database that is known", "`sqlite:PATH`, `postgres://…` or `mysql://…`");
        }
        let database = Self {
            url,
            max_connections: section.number("max_connections", 1..=1000, d.max_connections),
            acquire_timeout_s: section.number("acquire_timeout_s", 1..=300, d.acquire_timeout_s),
        };
        section.finish();
        database
    }

    /// Kind of database and place, without user and password.
    pub fn describe(&self, data_dir: &std::path::Path) -> String {
        let Some(url) = &self.url else {
            return format!("SQLite {}", data_dir.join("fanlight.db").display());
        };
        let url = url.expose_secret();
        if let Some(path) = url.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return format!("SQLite {}", path.split('?').next().unwrap_or_default());
        }
        let kind = if url.starts_with("postgres") { "PostgreSQL" } else { "MariaDB/MySQL" };
        match url::Url::parse(url) {
            Ok(url) => format!("{kind} {}{}", url.host_str().unwrap_or("local socket"), url.path()),
            Err(_) => kind.to_owned(),
        }
    }
}

/// `[rules]`
#[derive(Debug, Clone)]
pub struct Rules {
    /// Folder of `*.cedar` and `schema.cedarschema`; the shipped ones if not set.
    pub policies: Option<PathBuf>,
    /// Folder of `*.toml` manifests and `*.wasm` components; the shipped ones if not set.
    pub plugins: Option<PathBuf>,
    /// Folder of candidate policies, asked beside those in force; not there yet or wrong is no fault of the start.
    pub candidate: Option<PathBuf>,
    /// Milliseconds of quiet before a change of a folder is taken.
    pub debounce_ms: u64,
    /// Seconds between looks at the content of the folders, for file systems that do not notify.
    pub poll_s: u64,
}

impl Default for Rules {
    fn default() -> Self {
        Self { policies: None, plugins: None, candidate: None, debounce_ms: 300, poll_s: 5 }
    }
}

impl Rules {
    pub(super) fn read(section: Section<'_>) -> Self {
        let d = Self::default();
        let rules = Self {
            policies: folder(&section, "policies"),
            plugins: folder(&section, "plugins"),
            candidate: section.path("candidate"),
            debounce_ms: section.number("debounce_ms", 10..=60_000, d.debounce_ms),
            poll_s: section.number("poll_s", 1..=3600, d.poll_s),
        };
        section.finish();
        rules
    }
}

/// A folder that must be there: rules that are missing are not the same as no rules.
fn folder(section: &Section<'_>, key: &str) -> Option<PathBuf> {
    let path = section.path(key)?;
    if !path.is_dir() {
        let help = "create it, or leave the key out for the shipped ones";
        section.fault(key, format!("there is no folder `{}`", path.display()), help);
    }
    Some(path)
}

/// `[http]`
#[derive(Debug, Clone)]
pub struct Http {
    /// Bytes of a JSON body at most.
    pub json_max: usize,
    /// Seconds without a byte after which an upload or download is cut.
    pub idle_timeout_s: u64,
    /// Seconds that running requests get at a shutdown.
    pub shutdown_s: u64,
}

impl Default for Http {
    fn default() -> Self {
        Self { json_max: 1 << 20, idle_timeout_s: 60, shutdown_s: 10 }
    }
}

impl Http {
    pub(super) fn read(section: Section<'_>) -> Self {
        let d = Self::default();
        let http = Self {
            json_max: section.number("json_max", 1024..=64 << 20, d.json_max),
            idle_timeout_s: section.number("idle_timeout_s", 1..=3600, d.idle_timeout_s),
            shutdown_s: section.number("shutdown_s", 0..=3600, d.shutdown_s),
        };
        section.finish();
        http
    }
}

/// `[log]`
#[derive(Debug, Clone)]
pub struct Log {
    /// `pretty` or `json`.
    pub format: LogFormat,
    /// Filter, for instance `info,fanlight=debug`.
    pub filter: String,
}

/// Form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Pretty,
    /// One JSON object a line.
    Json,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Pretty, filter: "info".into() }
    }
}

impl Log {
    pub(super) fn read(section: Section<'_>, env: Environment<'_>) -> Self {
        let d = Self::default();
        let formats = [("pretty", LogFormat::Pretty), ("json", LogFormat::Json)];
        let format = section.choice("format", &formats).unwrap_or_default();
        let mut filter = section.text("filter").unwrap_or(d.filter);
        if let Some(problem) = filter_fault(&filter) {
            section.fault("filter", problem, "for instance `info,fanlight=debug`");
        }
        if let Some(text) = env.get("FANLIGHT_LOG") {
            if let Some(problem) = filter_fault(&text) {
                env.fault("FANLIGHT_LOG", problem, "for instance `info,fanlight=debug`");
            }
            filter = text;
        }
        section.finish();
        Self { format, filter }
    }
}

fn filter_fault(filter: &str) -> Option<String> {
    let parsed = tracing_subscriber::EnvFilter::builder().parse(filter);
    parsed.err().map(|e| format!("`{filter}` is not a log filter: {e}"))
}
