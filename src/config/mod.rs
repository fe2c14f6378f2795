//! The whole configuration as one value: one TOML file, every key documented, unknown keys refused.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use ipnet::IpNet;
use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

/// The configuration of one gateway.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the API listens. The development identity refuses anything but loopback.
    #[serde(default = "defaults::listen")]
    pub listen: SocketAddr,
    /// Where `/metrics` and the admin routes of the operator listen.
    #[serde(default = "defaults::admin_listen")]
    pub admin_listen: SocketAddr,
    /// The URL that clients use, if a proxy stands in front; else links follow the Host header.
    #[serde(default)]
    pub public_endpoint: Option<Url>,
    /// Folder of everything that has no path of its own.
    #[serde(default = "defaults::data_dir")]
    pub data_dir: PathBuf,
    /// Name of this gateway among others on the same database; the host name if not set.
    #[serde(default)]
    pub node: Option<String>,
    /// `sqlite:PATH`, `postgres://…` or `mysql://…`; may come from `FANLIGHT_DATABASE_URL`.
    #[serde(default)]
    pub database: Database,
    /// How callers prove who they are.
    #[serde(default)]
    pub identity: Identity,
    /// Stores by id.
    #[serde(default, rename = "store")]
    pub stores: BTreeMap<String, Store>,
    /// Policies and plug-ins.
    #[serde(default)]
    pub rules: Rules,
    /// Rules of images that are not policy.
    #[serde(default)]
    pub images: Images,
    /// Limits per project and image.
    #[serde(default)]
    pub quota: Quota,
    /// Limits of the HTTP server.
    #[serde(default)]
    pub http: Http,
    /// Log output.
    #[serde(default)]
    pub log: Log,
}

/// `[database]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Database {
    /// Connection URL; SQLite in the data folder if not set. Secret: may hold a password.
    pub url: Option<SecretString>,
    /// File that holds the URL, instead of `url`.
    pub url_file: Option<PathBuf>,
    /// Connections at most.
    pub max_connections: u32,
    /// Seconds to wait for a connection before 503.
    pub acquire_timeout_s: u64,
}

/// `[identity]`
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "mode", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Identity {
    /// Loopback only: `X-Auth-Token: user:project:role,role` is believed.
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
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keystone {
    /// Where we reach Keystone, for instance `http://127.0.0.1:5000/v3`.
    pub auth_url: Url,
    /// What `WWW-Authenticate` names; `auth_url` if not set.
    #[serde(default)]
    pub public_auth_url: Option<Url>,
    /// Service user.
    pub username: String,
    /// Domain of the service user.
    #[serde(default = "defaults::domain")]
    pub user_domain_name: String,
    /// Project of the service user.
    pub project_name: String,
    /// Domain of that project.
    #[serde(default = "defaults::domain")]
    pub project_domain_name: String,
    /// Password; or `password_file`, or `FANLIGHT_KEYSTONE_PASSWORD`.
    #[serde(default)]
    pub password: Option<SecretString>,
    /// File that holds the password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// PEM file of the authority that signed Keystone's certificate.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Seconds that a validated token is believed without asking again; a revocation is seen after at most so long.
    #[serde(default = "defaults::cache_s")]
    pub cache_s: u64,
    /// Seconds for one call.
    #[serde(default = "defaults::timeout_s")]
    pub timeout_s: u64,
    /// Roles of which a service token needs one, for its roles to count.
    #[serde(default = "defaults::service_roles")]
    pub service_token_roles: Vec<String>,
}

/// `[store.ID]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// For people, shown by `/v2/info/stores`.
    #[serde(default)]
    pub description: Option<String>,
    /// Larger is preferred, where nothing else decides.
    #[serde(default)]
    pub weight: i32,
    /// Seen by policies and plug-ins (`region`, `class` …).
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The store that is named as default.
    #[serde(default)]
    pub default: bool,
    /// State at start; changeable at run time.
    #[serde(default)]
    pub state: StoreState,
    /// Type and its options.
    #[serde(flatten)]
    pub backend: Backend,
}

/// Whether a store takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoreState {
    /// Reads and writes.
    #[default]
    Up,
    /// Reads; being emptied.
    Draining,
    /// Reads only.
    ReadOnly,
}

/// Type of a store.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Backend {
    /// Files in a folder.
    File {
        /// The folder; must exist or be creatable.
        path: PathBuf,
    },
}

/// `[rules]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Folder of `*.cedar` and `schema.cedarschema`; the shipped ones if not set.
    pub policies: Option<PathBuf>,
    /// Folder of `*.toml` manifests and `*.wasm` components; the shipped ones if not set.
    pub plugins: Option<PathBuf>,
    /// Milliseconds of quiet before a change of a folder is taken.
    pub debounce_ms: u64,
    /// Seconds between looks at the content of the folders, for file systems that do not notify.
    pub poll_s: u64,
}

/// `[images]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Images {
    /// Hash in `os_hash_value`: `sha512`, `sha256`, `sha1` or `md5`.
    pub hashing_algorithm: String,
    /// `disk_format` values that may be created.
    pub disk_formats: Vec<String>,
    /// `container_format` values that may be created.
    pub container_formats: Vec<String>,
    /// Refuse data whose detected format is not the declared one.
    pub require_format_match: bool,
    /// `createType` values of VMDK that are let in.
    pub vmdk_allowed_types: Vec<String>,
    /// Let a GPT/MBR image in that fails the strict checks.
    pub gpt_checks_nonfatal: bool,
    /// `direct_url` in bodies, where policy `get_image_location` permits.
    pub show_direct_url: bool,
    /// `locations` in bodies, where policy permits.
    pub show_locations: bool,
    /// Refuse characters beyond the Basic Multilingual Plane, as Glance does.
    pub strict_utf8mb3: bool,
    /// HTML error bodies for `*/*`, as Glance sends.
    pub html_errors: bool,
    /// Images of a page without `limit`.
    pub page_default: u32,
    /// Images of a page at most.
    pub page_max: u32,
    /// Seconds without progress after which an upload is given up.
    pub upload_lease_s: u64,
}

/// `[quota]`; `None` is no limit.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quota {
    /// Custom properties of one image.
    pub image_property_quota: Option<u32>,
    /// Tags of one image.
    pub image_tag_quota: Option<u32>,
    /// Members of one image.
    pub image_member_quota: Option<u32>,
    /// Locations of one image.
    pub image_location_quota: Option<u32>,
    /// Bytes of one image.
    pub image_size_cap: Option<u64>,
    /// Bytes of all images of one project (`image_size_total`).
    pub image_size_total: Option<u64>,
    /// Images of one project.
    pub image_count_total: Option<u64>,
    /// Uploads of one project at a time.
    pub image_count_uploading: Option<u64>,
    /// Limits of single projects, in place of the four above.
    pub project: BTreeMap<String, ProjectQuota>,
}

/// `[quota.project.ID]`; what is not set follows `[quota]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProjectQuota {
    /// Bytes of all images.
    pub image_size_total: Option<u64>,
    /// Images.
    pub image_count_total: Option<u64>,
    /// Uploads at a time.
    pub image_count_uploading: Option<u64>,
}

/// `[http]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Bytes of a JSON body at most.
    pub json_max: usize,
    /// Seconds without a byte after which an upload or download is cut.
    pub idle_timeout_s: u64,
    /// Seconds that running requests get at a shutdown.
    pub shutdown_s: u64,
}

/// `[log]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `pretty` or `json`.
    pub format: LogFormat,
    /// Filter, for instance `info,fanlight=debug`.
    pub filter: String,
}

/// Form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Pretty,
    /// One JSON object a line.
    Json,
}

mod defaults {
    use std::{net::SocketAddr, path::PathBuf};

    pub fn listen() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 9292))
    }
    pub fn admin_listen() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 9293))
    }
    pub fn data_dir() -> PathBuf {
        "data".into()
    }
    pub fn domain() -> String {
        "Default".into()
    }
    pub fn cache_s() -> u64 {
        60
    }
    pub fn timeout_s() -> u64 {
        5
    }
    pub fn service_roles() -> Vec<String> {
        vec!["service".into()]
    }
}

impl Default for Database {
    fn default() -> Self {
        Self { url: None, url_file: None, max_connections: 16, acquire_timeout_s: 10 }
    }
}

impl Default for Identity {
    fn default() -> Self {
        Self::Dev
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self { policies: None, plugins: None, debounce_ms: 300, poll_s: 5 }
    }
}

impl Default for Images {
    fn default() -> Self {
        let words = |s: &str| s.split(' ').map(str::to_owned).collect();
        Self {
            hashing_algorithm: "sha512".into(),
            disk_formats: words("ami ari aki vhd vhdx vmdk raw qcow2 vdi iso ploop"),
            container_formats: words("ami ari aki bare ovf ova docker compressed"),
            require_format_match: true,
            vmdk_allowed_types: words("streamOptimized monolithicSparse"),
            gpt_checks_nonfatal: false,
            show_direct_url: false,
            show_locations: false,
            strict_utf8mb3: false,
            html_errors: false,
            page_default: 25,
            page_max: 1000,
            upload_lease_s: 60,
        }
    }
}

impl Default for Quota {
    fn default() -> Self {
        Self {
            image_property_quota: Some(128),
            image_tag_quota: Some(128),
            image_member_quota: Some(128),
            image_location_quota: Some(10),
            image_size_cap: Some(1 << 40),
            image_size_total: None,
            image_count_total: Some(10_000),
            image_count_uploading: None,
            project: BTreeMap::new(),
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self { json_max: 1 << 20, idle_timeout_s: 60, shutdown_s: 10 }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Pretty, filter: "info".into() }
    }
}
