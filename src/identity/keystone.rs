//! Identity by Keystone: every token is validated there, and believed for a bounded time.
//!
//! The cache is keyed by a digest, so that a dump of memory or a log of keys gives no token away. A revocation is
//! seen after at most `cache_s`; an expiry at once.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use http::HeaderMap;
use jiff::Timestamp;
use moka::{Expiry, future::Cache};
use sha2::{Digest, Sha256};

use crate::{
    config,
    context::Caller,
    error::{Error, Result},
};

use super::{
    SERVICE_TOKEN, TOKEN,
    client::{KeystoneClient, Token},
    single, unauthenticated,
};

/// How long a refusal is remembered: long enough against a client that hammers, short enough for a token that another
/// Keystone node has not seen yet.
const REFUSAL: Duration = Duration::from_secs(5);

type Key = [u8; 32];
/// `None` is a token that Keystone refused.
type Answer = Option<Arc<Token>>;

pub(super) struct Keystone {
    client: KeystoneClient,
    cache: Cache<Key, Answer>,
    public_url: String,
    service_token_roles: BTreeSet<String>,
}

impl Keystone {
    pub(super) fn new(config: &config::Keystone) -> Result<Self> {
        let lifetime = Lifetime { cache: Duration::from_secs(config.cache_s) };
        let url = config.public_auth_url.as_ref().unwrap_or(&config.auth_url);
        Ok(Self {
            client: KeystoneClient::new(config)?,
            cache: Cache::builder().max_capacity(config.cache_max).expire_after(lifetime).build(),
            public_url: url.as_str().trim_end_matches('/').to_owned(),
            service_token_roles: config.service_token_roles.iter().map(|r| r.to_lowercase()).collect(),
        })
    }

    pub(super) fn public_url(&self) -> &str {
        &self.public_url
    }

    pub(super) async fn authenticate(&self, headers: &HeaderMap) -> Result<Caller> {
        let user = single(headers, &TOKEN)?.ok_or_else(unauthenticated)?;
        let service = single(headers, &SERVICE_TOKEN)?;
        let token = self.token(user).await?;
        let service_roles = match service {
            Some(service) => self.service_roles(&*self.token(service).await?),
            None => BTreeSet::new(),
        };
        let scope = |s: &super::client::Scope| s.id.clone();
        Ok(Caller {
            user_id: token.user.id.clone(),
            project_id: token.project.as_ref().map(scope),
            project_domain_id: token.project.as_ref().and_then(|p| p.domain.as_deref()).map(scope),
            user_domain_id: token.user.domain.as_ref().map(scope),
            domain_id: token.domain.as_ref().map(scope),
            roles: token.role_names(),
            service_roles,
        })
    }

    /// A token counts as a service token only with one of the configured roles.
    fn service_roles(&self, token: &Token) -> BTreeSet<String> {
        let roles = token.role_names();
        if roles.is_disjoint(&self.service_token_roles) { BTreeSet::new() } else { roles }
    }

    /// Asks the cache, then Keystone; many requests with one token make one call.
    async fn token(&self, token: &str) -> Result<Arc<Token>> {
        let key: Key = Sha256::digest(token.as_bytes()).into();
        let ask = async { Ok(self.client.validate(token).await?.map(Arc::new)) };
        let answer: Answer = self.cache.try_get_with(key, ask).await.map_err(|e: Arc<Error>| share(&e))?;
        // The cache ends entries by its own clock; the token's end counts by ours, at every use.
        answer.filter(|token| Timestamp::now() < token.expires_at).ok_or_else(unauthenticated)
    }
}

/// One failure, for each of the requests that waited for it.
fn share(error: &Arc<Error>) -> Error {
    let copy = match error.retry_after() {
        Some(after) => Error::unavailable(error.message(), after),
        None => Error::new(error.kind(), error.message()),
    };
    copy.with_source(error.clone())
}

/// Entries live until the token's end, `cache_s` at most.
struct Lifetime {
    cache: Duration,
}

impl Expiry<Key, Answer> for Lifetime {
    fn expire_after_create(&self, _: &Key, answer: &Answer, _: Instant) -> Option<Duration> {
        let Some(token) = answer else { return Some(REFUSAL.min(self.cache)) };
        let left = token.expires_at.duration_since(Timestamp::now());
        Some(Duration::try_from(left).unwrap_or_default().min(self.cache))
    }
}
