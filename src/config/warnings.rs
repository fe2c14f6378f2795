//! What is allowed but worth a look before others use the gateway.

use super::{Config, Identity};

impl Config {
    /// What is insecure or surprising about this configuration, for people.
    pub fn warnings(&self) -> Vec<String> {
        let mut all = Vec::new();
        match &self.identity {
            Identity::Dev => {
                all.push("identity mode `dev`: every local process may act as any user, an admin too".to_owned());
            }
            Identity::TrustedHeaders { peers } => {
                for net in peers.iter().filter(|net| net.addr().is_ipv4() && net.prefix_len() < 16) {
                    all.push(format!(
                        "every host in {net} may act as any user: name single proxies in `identity.peers`"
                    ));
                }
            }
            Identity::Keystone(keystone) if keystone.auth_url.scheme() == "http" && !is_local(&keystone.auth_url) => {
                all.push("tokens and the service password go to Keystone in plain text: use https".to_owned());
            }
            Identity::Keystone(_) => {}
        }
        if !self.listen.ip().is_loopback() {
            all.push(format!("{} speaks plain HTTP: put a proxy with TLS in front of it", self.listen));
        }
        if !self.admin_listen.ip().is_loopback() {
            all.push(format!("the admin listener {} asks nobody for a token: keep it on loopback", self.admin_listen));
        }
        all
    }
}

fn is_local(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
