//! The development identity: what a token says is believed, from this machine alone.
//!
//! `X-Auth-Token: user:project:role,role`; an empty project is an unscoped token. `admin` and `demo` are short for
//! `admin:admin:admin` and `demo:demo:member`. As in a freshly set up Keystone, `admin` implies `manager`, that
//! `member`, and that `reader`. Percent-encoding is undone first: python-glanceclient sends a token that it was given so.

use std::{collections::BTreeSet, net::IpAddr};

use http::HeaderMap;
use percent_encoding::percent_decode_str;

use crate::{context::Caller, error::Result};

use super::{NAME_MAX, SERVICE_TOKEN, TOKEN, roles, single, unauthenticated};

/// The id of the one domain, as `keystone-manage bootstrap` names it.
const DOMAIN: &str = "default";

pub(super) fn authenticate(headers: &HeaderMap, peer: IpAddr) -> Result<Caller> {
    if !peer.is_loopback() {
        return Err(unauthenticated());
    }
    let mut caller = believe(single(headers, &TOKEN)?.ok_or_else(unauthenticated)?)?;
    if let Some(service) = single(headers, &SERVICE_TOKEN)? {
        caller.service_roles = believe(service)?.roles;
    }
    Ok(caller)
}

fn believe(token: &str) -> Result<Caller> {
    let token = percent_decode_str(token).decode_utf8().map_err(|_| unauthenticated())?;
    let token = match token.as_ref() {
        "admin" => "admin:admin:admin",
        "demo" => "demo:demo:member",
        other => other,
    };
    let mut parts = token.split(':');
    let (Some(user), Some(project), Some(list), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(unauthenticated());
    };
    if user.is_empty() || user.len() > NAME_MAX || project.len() > NAME_MAX {
        return Err(unauthenticated());
    }
    let scoped = !project.is_empty();
    Ok(Caller {
        user_id: user.to_owned(),
        project_id: scoped.then(|| project.to_owned()),
        project_domain_id: scoped.then(|| DOMAIN.to_owned()),
        user_domain_id: Some(DOMAIN.to_owned()),
        domain_id: None,
        roles: with_implied(roles(list)?),
        service_roles: BTreeSet::new(),
    })
}

fn with_implied(mut roles: BTreeSet<String>) -> BTreeSet<String> {
    for (role, implied) in [("admin", "manager"), ("manager", "member"), ("member", "reader")] {
        if roles.contains(role) {
            roles.insert(implied.to_owned());
        }
    }
    roles
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn with(token: &str) -> HeaderMap {
        HeaderMap::from_iter([(TOKEN, token.parse().unwrap())])
    }

    fn set(words: &[&str]) -> BTreeSet<String> {
        words.iter().map(|w| (*w).to_owned()).collect()
    }

    #[test]
    fn believes_what_the_token_says() {
        let caller = authenticate(&with("ann:blue:Member, Auditor"), HERE).unwrap();
        assert_eq!((caller.user_id.as_str(), caller.project_id.as_deref()), ("ann", Some("blue")));
        assert_eq!(caller.roles, set(&["auditor", "member", "reader"]));
        assert_eq!(caller.service_roles, set(&[]));
        assert_eq!(authenticate(&with("ann%3Ablue%3AMember%2C%20Auditor"), HERE).unwrap(), caller);
    }

    #[test]
    fn knows_two_short_tokens() {
        assert_eq!(authenticate(&with("admin"), HERE).unwrap().roles, set(&["admin", "manager", "member", "reader"]));
        assert_eq!(authenticate(&with("demo"), HERE).unwrap().project_id.as_deref(), Some("demo"));
    }

    #[test]
    fn an_empty_project_is_no_scope() {
        let caller = authenticate(&with("ann::admin"), HERE).unwrap();
        assert_eq!((caller.project_id, caller.project_domain_id), (None, None));
    }

    #[test]
    fn service_roles_stay_apart() {
        let mut headers = with("ann:blue:member");
        headers.insert(SERVICE_TOKEN, "nova:service:service".parse().unwrap());
        let caller = authenticate(&headers, HERE).unwrap();
        assert_eq!(caller.roles, set(&["member", "reader"]));
        assert_eq!(caller.service_roles, set(&["service"]));
    }

    #[test]
    fn refuses_other_hosts_and_other_shapes() {
        assert!(authenticate(&with("admin"), IpAddr::from([10, 0, 0, 1])).is_err());
        assert!(authenticate(&HeaderMap::new(), HERE).is_err());
        for token in
            ["x", "a:b", "a:b:c:d", ":b:c", "a%3Ab%FF:c:d", &"é".repeat(3), &format!("{}:p:r", "u".repeat(256))]
        {
            assert!(authenticate(&with(token), HERE).is_err(), "{token}");
        }
    }
}
