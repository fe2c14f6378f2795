//! Who asks: from the headers of a request to a proven [`Caller`].
//!
//! Three ways, chosen by `identity.mode`. None of them reads a role as more than a word; what a role may do is for
//! the rules to say.

mod client;
mod dev;
mod keystone;
mod trusted;

use std::{collections::BTreeSet, net::IpAddr};

use http::{HeaderMap, HeaderName};

use crate::{
    config,
    context::Caller,
    error::{Error, Kind, Result},
};

use self::{keystone::Keystone, trusted::TrustedHeaders};

/// Bytes of a token at most. Fernet tokens have some 200, tokens of other forms up to 8 KiB.
const TOKEN_MAX: usize = 8192;
/// Bytes of one identifier (user, project, domain, role) at most, as in Keystone.
const NAME_MAX: usize = 255;
/// Roles of one caller at most.
const ROLES_MAX: usize = 128;

/// The user's token.
const TOKEN: HeaderName = HeaderName::from_static("x-auth-token");
/// The token of the service that asks on the user's behalf.
const SERVICE_TOKEN: HeaderName = HeaderName::from_static("x-service-token");

/// How callers prove who they are.
pub struct Authenticator {
    mode: Mode,
}

enum Mode {
    Dev,
    TrustedHeaders(TrustedHeaders),
    Keystone(Box<Keystone>),
}

impl Authenticator {
    /// Prepares the way that is configured. Calls nobody yet.
    ///
    /// # Errors
    /// When the file of the authority's certificate cannot be used.
    pub fn from_config(config: &config::Identity) -> Result<Self> {
        let mode = match config {
            config::Identity::Dev => Mode::Dev,
            config::Identity::TrustedHeaders { peers } => Mode::TrustedHeaders(TrustedHeaders::new(peers)),
            config::Identity::Keystone(keystone) => Mode::Keystone(Box::new(Keystone::new(keystone)?)),
        };
        Ok(Self { mode })
    }

    /// Proves who sent `headers` from `peer`.
    ///
    /// # Errors
    /// [`Kind::Unauthenticated`] when nothing is proven; [`Kind::Unavailable`] when Keystone cannot say.
    pub async fn authenticate(&self, headers: &HeaderMap, peer: IpAddr) -> Result<Caller> {
        // A dual-stack socket shows IPv4 peers as `::ffff:a.b.c.d`.
        let peer = peer.to_canonical();
        match &self.mode {
            Mode::Dev => dev::authenticate(headers, peer),
            Mode::TrustedHeaders(trusted) => trusted.authenticate(headers, peer),
            Mode::Keystone(keystone) => keystone.authenticate(headers).await,
        }
    }

    /// What `WWW-Authenticate` says with a 401.
    pub fn challenge(&self) -> Option<String> {
        match &self.mode {
            Mode::Dev | Mode::TrustedHeaders(_) => None,
            Mode::Keystone(keystone) => Some(format!("Keystone uri=\"{}\"", keystone.public_url())),
        }
    }
}

/// The one refusal that a client sees: no word about what exactly was wrong.
fn unauthenticated() -> Error {
    Error::new(Kind::Unauthenticated, "The request you have made requires authentication.")
}

/// The value of a header that may stand there once. Twice is a sign of a proxy that adds where it must replace.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => match value.to_str() {
            Ok("") => Ok(None),
            Ok(text) if text.len() <= TOKEN_MAX => Ok(Some(text)),
            _ => Err(unauthenticated()),
        },
        (Some(_), Some(_)) => Err(unauthenticated()),
    }
}

/// A comma-separated list of roles, trimmed and lower-cased.
fn roles(list: &str) -> Result<BTreeSet<String>> {
    let roles: BTreeSet<String> = list.split(',').map(|r| r.trim().to_lowercase()).filter(|r| !r.is_empty()).collect();
    let bounded = roles.len() <= ROLES_MAX && roles.iter().all(|r| r.len() <= NAME_MAX);
    if bounded { Ok(roles) } else { Err(unauthenticated()) }
}

#[cfg(test)]
mod tests;
