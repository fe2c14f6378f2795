//! Trusted headers: a proxy or middleware in front has asked Keystone and says what it learned.
//!
//! The names are those that keystonemiddleware sets. Whoever may send them may be anybody, so only the peers that
//! the operator named may.

use std::{collections::BTreeSet, net::IpAddr};

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

use crate::{context::Caller, error::Result};

use super::{NAME_MAX, roles, single, unauthenticated};

const STATUS: HeaderName = HeaderName::from_static("x-identity-status");
const USER: HeaderName = HeaderName::from_static("x-user-id");
const USER_DOMAIN: HeaderName = HeaderName::from_static("x-user-domain-id");
const PROJECT: HeaderName = HeaderName::from_static("x-project-id");
const TENANT: HeaderName = HeaderName::from_static("x-tenant-id");
const PROJECT_DOMAIN: HeaderName = HeaderName::from_static("x-project-domain-id");
const DOMAIN: HeaderName = HeaderName::from_static("x-domain-id");
const ROLES: HeaderName = HeaderName::from_static("x-roles");
const SERVICE_STATUS: HeaderName = HeaderName::from_static("x-service-identity-status");
const SERVICE_ROLES: HeaderName = HeaderName::from_static("x-service-roles");

pub(super) struct TrustedHeaders {
    peers: Vec<IpNet>,
}

impl TrustedHeaders {
    pub(super) fn new(peers: &[IpNet]) -> Self {
        Self { peers: peers.to_vec() }
    }

    pub(super) fn authenticate(&self, headers: &HeaderMap, peer: IpAddr) -> Result<Caller> {
        let from_peer = self.peers.iter().any(|net| net.contains(&peer));
        if !from_peer || !is_confirmed(headers, &STATUS)? {
            return Err(unauthenticated());
        }
        Ok(Caller {
            user_id: name(headers, &USER)?.ok_or_else(unauthenticated)?,
            project_id: project(headers)?,
            project_domain_id: name(headers, &PROJECT_DOMAIN)?,
            user_domain_id: name(headers, &USER_DOMAIN)?,
            domain_id: name(headers, &DOMAIN)?,
            roles: roles(single(headers, &ROLES)?.unwrap_or_default())?,
            service_roles: service_roles(headers)?,
        })
    }
}

fn is_confirmed(headers: &HeaderMap, name: &HeaderName) -> Result<bool> {
    Ok(single(headers, name)? == Some("Confirmed"))
}

fn name(headers: &HeaderMap, header: &HeaderName) -> Result<Option<String>> {
    match single(headers, header)? {
        Some(text) if text.len() > NAME_MAX => Err(unauthenticated()),
        other => Ok(other.map(str::to_owned)),
    }
}

/// Under its new or its old name; both must agree.
fn project(headers: &HeaderMap) -> Result<Option<String>> {
    match (name(headers, &PROJECT)?, name(headers, &TENANT)?) {
        (Some(new), Some(old)) if new != old => Err(unauthenticated()),
        (new, old) => Ok(new.or(old)),
    }
}

/// Roles of a service token count only when that token was confirmed by itself.
fn service_roles(headers: &HeaderMap) -> Result<BTreeSet<String>> {
    if !is_confirmed(headers, &SERVICE_STATUS)? {
        return Ok(BTreeSet::new());
    }
    roles(single(headers, &SERVICE_ROLES)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: [u8; 4] = [10, 0, 0, 5];

    fn ask(pairs: &[(&'static str, &str)], peer: [u8; 4]) -> Result<Caller> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        TrustedHeaders::new(&["10.0.0.5/32".parse().unwrap()]).authenticate(&headers, peer.into())
    }

    const GOOD: &[(&str, &str)] = &[
        ("x-identity-status", "Confirmed"),
        ("x-user-id", "u1"),
        ("x-user-domain-id", "d1"),
        ("x-tenant-id", "p1"),
        ("x-project-domain-id", "d2"),
        ("x-roles", "Admin,member"),
        ("x-service-roles", "service"),
    ];

    fn set(words: &[&str]) -> BTreeSet<String> {
        words.iter().map(|w| (*w).to_owned()).collect()
    }

    #[test]
    fn reads_every_header() {
        let wanted = Caller {
            user_id: "u1".into(),
            project_id: Some("p1".into()),
            project_domain_id: Some("d2".into()),
            user_domain_id: Some("d1".into()),
            domain_id: None,
            roles: set(&["admin", "member"]),
            service_roles: set(&[]),
        };
        assert_eq!(ask(GOOD, PROXY).unwrap(), wanted);
    }

    #[test]
    fn service_roles_need_their_own_confirmation() {
        let confirmed = [GOOD, &[("x-service-identity-status", "Confirmed")]].concat();
        assert_eq!(ask(&confirmed, PROXY).unwrap().service_roles, set(&["service"]));
        let invalid = [GOOD, &[("x-service-identity-status", "Invalid")]].concat();
        assert!(ask(&invalid, PROXY).unwrap().service_roles.is_empty());
    }

    #[test]
    fn believes_nobody_but_the_peers() {
        assert!(ask(GOOD, [10, 0, 0, 6]).is_err());
        assert!(ask(GOOD, [127, 0, 0, 1]).is_err());
    }

    #[test]
    fn refuses_what_is_not_confirmed_or_said_twice() {
        assert!(ask(GOOD.get(1..).unwrap(), PROXY).is_err());
        for extra in [
            ("x-identity-status", "Confirmed"),
            ("x-identity-status", "Invalid"),
            ("x-user-id", "u2"),
            ("x-roles", "admin"),
            ("x-project-id", "another"),
        ] {
            assert!(ask(&[GOOD, &[extra]].concat(), PROXY).is_err(), "{extra:?}");
        }
        assert!(ask(&[("x-identity-status", "Confirmed")], PROXY).is_err(), "no user");
    }
}
