//! What `serve` says at its start: what runs, where data lies, what is insecure about it, and what to try first.

use std::{fmt::Write, path::PathBuf};

use crate::config::{Backend, Config, Identity};

/// Writes the banner to standard error, where the log goes too: a script that reads standard output sees nothing.
pub fn print(config: &Config) {
    super::output::complain(&render(config));
}

/// The banner. A pure function of the configuration; no secret is in it.
pub fn render(config: &Config) -> String {
    let mut text = format!("Fanlight {} serves the Images API v2 on {}\n\n", env!("CARGO_PKG_VERSION"), url(config));
    let mut row = |name: &str, value: String| {
        let _ = writeln!(text, "  {name:<10} {value}");
    };
    row("database", config.database.describe(&config.data_dir));
    for (id, store) in &config.stores {
        let place = match &store.backend {
            Backend::File { path } => path.display().to_string(),
            Backend::Rbd(rbd) => format!("pool {} of {}", rbd.pool, rbd.conf.display()),
        };
        let labels: Vec<_> = store.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let default = if store.default { ", default" } else { "" };
        row("store", format!("{id} ({}{default}) {place} {}", store.backend.kind(), labels.join(" ")).trim().into());
    }
    // Without a folder of the operator's, the shipped rules were put into these at the first start.
    let folder = |path: &Option<PathBuf>, name: &str| match path {
        Some(path) => path.display().to_string(),
        None => config.data_dir.join(name).display().to_string(),
    };
    row("policies", folder(&config.rules.policies, "policies"));
    row("plug-ins", folder(&config.rules.plugins, "plugins"));
    row("identity", config.identity.mode().to_owned());
    row("operator", format!("http://{}/metrics, /health, /rules", config.admin_listen));
    let warnings = config.warnings();
    if !warnings.is_empty() {
        text.push_str("\nNot safe for others:\n");
        for warning in warnings {
            let _ = writeln!(text, "  - {warning}");
        }
    }
    let _ = write!(text, "\nTry:\n  {}\n", first_command(config));
    text
}

/// How this machine reaches the API.
fn url(config: &Config) -> String {
    match &config.public_endpoint {
        Some(url) => url.as_str().trim_end_matches('/').to_owned(),
        None => format!("http://{}", config.listen),
    }
}

fn first_command(config: &Config) -> String {
    let url = url(config);
    match &config.identity {
        Identity::Dev => format!("curl -H 'X-Auth-Token: demo:demo:member' {url}/v2/images"),
        Identity::TrustedHeaders { .. } => format!("curl {url}/healthcheck"),
        Identity::Keystone(_) => {
            format!("curl -H \"X-Auth-Token: $(openstack token issue -f value -c id)\" {url}/v2/images")
        }
    }
}
