//! From file and environment to a [`Config`], with every fault at once.

use std::{collections::BTreeSet, fmt::Display, net::SocketAddr, path::Path};

use secrecy::SecretString;
use toml::de::DeTable;
use url::Url;

use super::{
    Config, Copies, Database, Faults, Http, Identity, Images, Log, Quota, Rules,
    fault::Fault,
    section::{Section, Source},
    stores,
};

/// Bytes of a configuration at most.
const FILE_MAX: u64 = 1 << 20;
/// Bytes of a file that holds one secret at most.
const SECRET_MAX: u64 = 4096;

/// The variables that may set or override a key.
#[derive(Clone, Copy)]
pub(super) struct Environment<'a> {
    get: &'a dyn Fn(&str) -> Option<String>,
    source: &'a Source<'a>,
}

impl Environment<'_> {
    pub(super) fn get(&self, name: &str) -> Option<String> {
        (self.get)(name).filter(|value| !value.is_empty())
    }

    pub(super) fn fault(&self, name: &str, problem: impl Display, help: impl Display) {
        self.source.fault_of_variable(name, problem, help);
    }

    fn address(&self, name: &str) -> Option<SocketAddr> {
        let text = self.get(name)?;
        text.parse()
            .map_err(|e| self.fault(name, format!("`{text}` is not valid: {e}"), "for instance `127.0.0.1:9292`"))
            .ok()
    }
}

impl Config {
    /// Reads `path`, or without one the development gateway, and lets `env` (usually [`process_env`]) set what it may.
    ///
    /// # Errors
    /// All faults at once, each with its place and what to do.
    pub fn load(path: Option<&Path>, env: impl Fn(&str) -> Option<String>) -> Result<Self, Faults> {
        let Some(path) = path else { return Self::parse("defaults", "", &env) };
        let file = path.display().to_string();
        let text = read_bounded(path, FILE_MAX).map_err(|problem| Faults {
            faults: vec![Fault {
                file: file.clone(),
                line: None,
                column: None,
                key: String::new(),
                problem,
                help: "name a readable TOML file; fanlight.example.toml shows every key".into(),
            }],
        })?;
        let config = Self::parse(&file, &text, &env)?;
        Ok(Self { file: Some(path.to_owned()), ..config })
    }

    /// Reads `text`; `file` is its name in faults.
    ///
    /// # Errors
    /// All faults at once.
    pub fn parse(file: &str, text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, Faults> {
        Self::parse_with_keys(file, text, env).0
    }

    /// Also returns every key that a configuration may hold, for the test of the documentation.
    pub(super) fn parse_with_keys(
        file: &str,
        text: &str,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> (Result<Self, Faults>, BTreeSet<String>) {
        let (table, syntax) = DeTable::parse_recoverable(text);
        let source = Source::new(file, text);
        for error in syntax {
            let at = error.span().map_or(0, |span| span.start);
            source.fault_at(at, "", format!("is not TOML: {}", error.message()), "");
        }
        let config = read(Section::root(&source, table.get_ref()), Environment { get: env, source: &source });
        let (faults, known) = source.finish();
        (if faults.is_empty() { Ok(config) } else { Err(Faults::sorted(faults)) }, known)
    }
}

/// The environment of this process.
pub fn process_env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn read(root: Section<'_>, env: Environment<'_>) -> Config {
    let address = |key, variable, default: u16| {
        let file = root.parsed::<SocketAddr>(key, "127.0.0.1:9292");
        env.address(variable).or(file).unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], default)))
    };
    let listen = address("listen", "FANLIGHT_LISTEN", 9292);
    let admin_listen = address("admin_listen", "FANLIGHT_ADMIN_LISTEN", 9293);
    let data_dir = root.path("data_dir");
    let data_dir = env.get("FANLIGHT_DATA_DIR").map(Into::into).or(data_dir).unwrap_or_else(|| "data".into());
    let store_section = root.section("store");
    let mut config = Config {
        file: None,
        listen,
        admin_listen,
        public_endpoint: root.parsed::<Url>("public_endpoint", "https://images.example.org"),
        data_dir,
        node: root.text("node"),
        database: Database::read(root.section("database"), env),
        identity: Identity::read(root.section("identity"), env),
        stores: stores::read(&store_section),
        rules: Rules::read(root.section("rules")),
        images: Images::read(root.section("images")),
        copies: Copies::read(root.section("copies")),
        quota: Quota::read(root.section("quota")),
        http: Http::read(root.section("http")),
        log: Log::read(root.section("log"), env),
    };
    if config.stores.is_empty() {
        if matches!(config.identity, Identity::Dev) {
            config.stores = stores::development(&config.data_dir);
        } else {
            root.fault("store", "no store is configured", "add one, for instance [store.main] with type and path");
        }
    }
    check_listeners(&root, &config, env);
    check_names(&root, &config);
    root.finish();
    config
}

/// The development identity believes anybody: it must not be reachable from elsewhere.
fn check_listeners(root: &Section<'_>, config: &Config, env: Environment<'_>) {
    if matches!(config.identity, Identity::Dev) && !config.listen.ip().to_canonical().is_loopback() {
        let problem = format!("{} is not loopback, and identity mode `dev` believes every caller", config.listen);
        let help = "listen on 127.0.0.1 or [::1], or set another identity mode";
        match env.get("FANLIGHT_LISTEN").filter(|text| text.parse::<SocketAddr>().is_ok()) {
            Some(_) => env.fault("FANLIGHT_LISTEN", problem, help),
            None => root.fault("listen", problem, help),
        }
    }
    if config.listen == config.admin_listen && config.listen.port() != 0 {
        root.fault("admin_listen", "is the same as `listen`", "choose another port");
    }
}

fn check_names(root: &Section<'_>, config: &Config) {
    if let Some(node) = &config.node
        && (node.is_empty() || node.len() > 255 || node.chars().any(char::is_control))
    {
        root.fault("node", "must have 1 to 255 printable characters", "use the name of the host");
    }
    let Some(url) = &config.public_endpoint else { return };
    let bare =
        url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    if !matches!(url.scheme(), "http" | "https") || !bare {
        root.fault("public_endpoint", "is not a plain http or https URL", "for instance `https://images.example.org`");
    }
}

/// A secret from the environment, from the file itself, or from a file that it names; in this order.
pub(super) fn secret(
    section: &Section<'_>,
    key: &str,
    file_key: &str,
    variable: &str,
    env: Environment<'_>,
) -> Option<SecretString> {
    let (inline, path) = (section.secret(key), section.path(file_key));
    if inline.is_some() && path.is_some() {
        section.fault(file_key, format!("is set beside `{key}`"), "keep one of the two");
    }
    if let Some(value) = env.get(variable) {
        return Some(value.into());
    }
    if inline.is_some() {
        return inline;
    }
    let path = path?;
    match read_bounded(&path, SECRET_MAX) {
        Ok(text) => Some(text.trim_end_matches(['\r', '\n']).into()),
        Err(problem) => {
            section.fault(
                file_key,
                format!("`{}` {problem}", path.display()),
                "name a readable file with the secret alone",
            );
            None
        }
    }
}

fn read_bounded(path: &Path, max: u64) -> Result<String, String> {
    use std::io::Read;
    let file = std::fs::File::open(path).map_err(|e| format!("cannot be opened: {e}"))?;
    let mut text = String::new();
    file.take(max + 1).read_to_string(&mut text).map_err(|e| format!("cannot be read: {e}"))?;
    if text.len() as u64 > max { Err(format!("is larger than {max} bytes")) } else { Ok(text) }
}

/// Stands where a URL is faulty; the fault keeps it from being used.
pub(super) fn nowhere() -> Url {
    #[expect(clippy::unwrap_used, reason = "a constant that parses")]
    Url::parse("http://invalid.invalid/").unwrap()
}
