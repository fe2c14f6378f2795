//! `[identity]`: how callers prove who they are.

use std::path::PathBuf;

use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{load::Environment, section::Section};

/// `[identity]`
#[derive(Debug, Clone, Default)]
pub enum Identity {
    /// Loopback only: `X-Auth-Token: user:project:role,role` is believed.
    #[default]
    Dev,
    /// The headers that keystonemiddleware sets are believed when they come from these peers.
    TrustedHeaders {
        /// Peers.
        peers: Vec<IpNet>,
    },
    /// Tokens are validated at Keystone v3.
    Keystone(Box<Keystone>),
}

/// `[identity]` with `mode = "keystone"`
#[derive(Debug, Clone)]
pub struct Keystone {
    /// Where we reach Keystone, for instance `http://127.0.0.1:5000/v3`.
    pub auth_url: Url,
    /// What `WWW-Authenticate` names; `auth_url` if not set.
    pub public_auth_url: Option<Url>,
    /// Service user.
    pub username: String,
    /// Domain of the service user.
    pub user_domain_name: String,
    /// Project of the service user.
    pub project_name: String,
    /// Domain of that project.
    pub project_domain_name: String,
    /// Password, wherever it came from.
    pub password: SecretString,
    /// PEM file of the authority that signed Keystone's certificate.
    pub ca_file: Option<PathBuf>,
    /// Seconds that a validated token is believed without asking again; a revocation is seen after at most so long.
    pub cache_s: u64,
    /// Tokens that are remembered at most.
    pub cache_max: u64,
    /// Seconds for one call.
    pub timeout_s: u64,
    /// Roles of which a service token needs one, for its roles to count.
    pub service_token_roles: Vec<String>,
}

/// Modes, and the keys that belong to each.
const TRUSTED_KEYS: &[&str] = &["peers"];
const KEYSTONE_KEYS: &[&str] = &[
    "auth_url",
    "public_auth_url",
    "username",
    "user_domain_name",
    "project_name",
    "project_domain_name",
    "password",
    "password_file",
    "ca_file",
    "cache_s",
    "cache_max",
    "timeout_s",
    "service_token_roles",
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Dev,
    TrustedHeaders,
    Keystone,
}

impl Identity {
    /// The `mode` as written in the file.
    pub fn mode(&self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::TrustedHeaders { .. } => "trusted-headers",
            Self::Keystone(_) => "keystone",
        }
    }

    pub(super) fn read(section: Section<'_>, env: Environment<'_>) -> Self {
        let modes = [("dev", Mode::Dev), ("trusted-headers", Mode::TrustedHeaders), ("keystone", Mode::Keystone)];
        let mode = section.choice("mode", &modes);
        if section.is_present() && !section.has("mode") {
            section.fault("mode", "is missing", "one of `dev`, `trusted-headers`, `keystone`");
        }
        refuse_keys(&section, mode, Mode::TrustedHeaders, "trusted-headers", TRUSTED_KEYS);
        refuse_keys(&section, mode, Mode::Keystone, "keystone", KEYSTONE_KEYS);
        let identity = match mode.unwrap_or(Mode::Dev) {
            Mode::Dev => Self::Dev,
            Mode::TrustedHeaders => Self::TrustedHeaders { peers: read_peers(&section) },
            Mode::Keystone => read_keystone(&section, env),
        };
        section.finish();
        identity
    }
}

/// Keys of a mode that is not the chosen one would be ignored in silence: refused instead.
fn refuse_keys(section: &Section<'_>, mode: Option<Mode>, of: Mode, name: &str, keys: &[&str]) {
    for key in keys {
        if section.has(key) && mode.is_some_and(|mode| mode != of) {
            section.fault(key, format!("belongs to mode `{name}`"), format!("remove it, or set mode = \"{name}\""));
        }
    }
}

fn read_peers(section: &Section<'_>) -> Vec<IpNet> {
    let help = "list the proxies that authenticate, for instance peers = [\"10.0.0.5/32\"]";
    let Some(peers) = section.list::<IpNet>("peers", "10.0.0.5/32") else {
        if !section.has("peers") {
            section.fault("peers", "is missing", help);
        }
        return Vec::new();
    };
    if peers.is_empty() {
        section.fault("peers", "is empty, or has no valid network", help);
    }
    if peers.iter().any(|net| net.prefix_len() == 0) {
        section.fault("peers", "holds the whole internet: anybody could claim to be anybody", help);
    }
    peers
}

fn read_keystone(section: &Section<'_>, env: Environment<'_>) -> Identity {
    let auth_url = read_url(section, "auth_url");
    if !section.has("auth_url") {
        section.fault("auth_url", "is missing", "the URL of Keystone, for instance `http://127.0.0.1:5000/v3`");
    }
    let domain = |key| section.text(key).unwrap_or_else(|| "Default".into());
    let keystone = Keystone {
        auth_url: auth_url.unwrap_or_else(super::load::nowhere),
        public_auth_url: read_url(section, "public_auth_url"),
        username: section.required("username", "the user that validates tokens, often `glance`"),
        user_domain_name: domain("user_domain_name"),
        project_name: section.required("project_name", "the project of that user, often `service`"),
        project_domain_name: domain("project_domain_name"),
        password: read_password(section, env),
        ca_file: section.path("ca_file"),
        cache_s: section.number("cache_s", 0..=3600, 60),
        cache_max: section.number("cache_max", 1..=10_000_000, 100_000),
        timeout_s: section.number("timeout_s", 1..=60, 5),
        service_token_roles: section
            .list::<String>("service_token_roles", "service")
            .unwrap_or_else(|| vec!["service".into()]),
    };
    if let Some(file) = keystone.ca_file.as_deref().filter(|f| !f.is_file()) {
        section.fault("ca_file", format!("there is no file `{}`", file.display()), "name a file with PEM certificates");
    }
    Identity::Keystone(Box::new(keystone))
}

/// A URL without user and password: those would end in logs and in `WWW-Authenticate`.
fn read_url(section: &Section<'_>, key: &str) -> Option<Url> {
    let text = section.text(key)?;
    let help = "for instance `http://127.0.0.1:5000/v3`";
    match Url::parse(&text) {
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            section.fault(key, "holds a user or a password", "take them out of the URL");
        }
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => return Some(url),
        Ok(_) => section.fault(key, "is not an http or https URL", help),
        Err(e) => section.fault(key, format!("is not a URL: {e}"), help),
    }
    None
}

fn read_password(section: &Section<'_>, env: Environment<'_>) -> SecretString {
    const VARIABLE: &str = "FANLIGHT_KEYSTONE_PASSWORD";
    let found = super::load::secret(section, "password", "password_file", VARIABLE, env);
    match found {
        Some(password) if !password.expose_secret().is_empty() => return password,
        Some(_) => section.fault("password", "is empty", "set it, or `password_file`"),
        None if section.has("password") || section.has("password_file") => {}
        None => section.fault("password", "is missing", format!("set `password_file`, `password` or {VARIABLE}")),
    }
    SecretString::default()
}
