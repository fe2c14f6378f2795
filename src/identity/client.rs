//! The calls to Keystone: validate a token, with a token of the service user that is renewed in time.
//!
//! Everything a broken or hostile Keystone may send is bounded: time, size, redirects. Whatever is not a clear answer
//! is a fault (503), never a denial.

use std::{collections::BTreeSet, time::Duration};

use http::{HeaderValue, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use reqwest::{Certificate, Client, RequestBuilder, Response, redirect::Policy};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use url::Url;

use crate::{
    config,
    error::{Error, Result},
};

use super::{NAME_MAX, ROLES_MAX, TOKEN, TOKEN_MAX};

/// Bytes of an answer at most; the catalog is not asked for.
const ANSWER_MAX: usize = 1 << 20;
/// A service token is renewed this long before its end, so that it never ends during a call.
const RENEW_BEFORE: SignedDuration = SignedDuration::from_secs(60);
/// What a client is told to wait when Keystone cannot answer.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// What Keystone says about a token.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Token {
    pub(super) expires_at: Timestamp,
    pub(super) user: User,
    pub(super) project: Option<Scope>,
    pub(super) domain: Option<Scope>,
    #[serde(default)]
    pub(super) roles: Vec<Role>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct User {
    pub(super) id: String,
    pub(super) domain: Option<Scope>,
}

/// A project with its domain, or a domain.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Scope {
    pub(super) id: String,
    pub(super) domain: Option<Box<Scope>>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Role {
    name: String,
}

impl Token {
    /// Role names, lower-cased.
    pub(super) fn role_names(&self) -> BTreeSet<String> {
        self.roles.iter().map(|r| r.name.to_lowercase()).collect()
    }

    /// Whether every name is of a size that Keystone itself allows.
    fn is_bounded(&self) -> bool {
        let scopes = [&self.project, &self.domain, &self.user.domain];
        self.roles.len() <= ROLES_MAX
            && self.roles.iter().all(|r| r.name.len() <= NAME_MAX)
            && !self.user.id.is_empty()
            && self.user.id.len() <= NAME_MAX
            && scopes.into_iter().flatten().all(|s| !s.id.is_empty() && s.id.len() <= NAME_MAX)
    }
}

#[derive(Deserialize)]
struct Envelope {
    token: Token,
}

/// Only what tells when to renew: a service user without a project answers without one.
#[derive(Deserialize)]
struct IssuedEnvelope {
    token: Issued,
}

#[derive(Deserialize)]
struct Issued {
    expires_at: Timestamp,
}

struct ServiceToken {
    value: HeaderValue,
    expires_at: Timestamp,
}

pub(super) struct KeystoneClient {
    http: Client,
    tokens: Url,
    credentials: config::Keystone,
    /// Held while it is renewed: one renewal at a time, the others wait for it.
    service: Mutex<Option<ServiceToken>>,
}

impl KeystoneClient {
    pub(super) fn new(config: &config::Keystone) -> Result<Self> {
        crate::telemetry::install_crypto();
        let timeout = Duration::from_secs(config.timeout_s);
        let mut builder = Client::builder()
            .redirect(Policy::none())
            .timeout(timeout)
            .connect_timeout(timeout)
            .pool_max_idle_per_host(16)
            .user_agent(concat!("fanlight/", env!("CARGO_PKG_VERSION")));
        if let Some(file) = &config.ca_file {
            let refuse = |e: String| Error::invalid(format!("`identity.ca_file` `{}`: {e}", file.display()));
            let pem = std::fs::read(file).map_err(|e| refuse(e.to_string()))?;
            let authorities = Certificate::from_pem_bundle(&pem).map_err(|e| refuse(e.to_string()))?;
            if authorities.is_empty() {
                return Err(refuse("holds no certificate".into()));
            }
            builder = builder.tls_certs_only(authorities);
        }
        Ok(Self {
            http: builder.build().map_err(Error::internal)?,
            tokens: tokens_url(&config.auth_url),
            credentials: config.clone(),
            service: Mutex::new(None),
        })
    }

    /// What Keystone knows of `token`; `None` when it is not valid.
    pub(super) async fn validate(&self, token: &str) -> Result<Option<Token>> {
        let subject = secret_header(token).ok_or_else(super::unauthenticated)?;
        let mut service = self.service_token(None).await?;
        let mut answer = self.ask(&subject, &service).await?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            // Ours was revoked, or Keystone's keys were rotated: once more with a new one.
            service = self.service_token(Some(&service)).await?;
            answer = self.ask(&subject, &service).await?;
        }
        match answer.status() {
            StatusCode::OK => {
                let Envelope { token } = decode(answer).await?;
                if token.is_bounded() { Ok(Some(token)) } else { Err(fault("an answer with oversized names")) }
            }
            StatusCode::NOT_FOUND => Ok(None),
            status => Err(fault(format!("status {status} to a validation"))),
        }
    }

    async fn ask(&self, subject: &HeaderValue, service: &HeaderValue) -> Result<Response> {
        let mut url = self.tokens.clone();
        url.set_query(Some("nocatalog"));
        send(self.http.get(url).header("x-subject-token", subject).header(TOKEN, service)).await
    }

    /// The token of the service user; a new one when it ends soon or is `refused`.
    async fn service_token(&self, refused: Option<&HeaderValue>) -> Result<HeaderValue> {
        let mut held = self.service.lock().await;
        if let Some(token) = held.as_ref()
            && refused != Some(&token.value)
            && Timestamp::now() < token.expires_at - RENEW_BEFORE
        {
            return Ok(token.value.clone());
        }
        let token = self.log_in().await?;
        let value = token.value.clone();
        *held = Some(token);
        Ok(value)
    }

    async fn log_in(&self) -> Result<ServiceToken> {
        let answer = send(self.http.post(self.tokens.clone()).json(&self.password_request())).await?;
        if answer.status() != StatusCode::CREATED {
            let status = answer.status();
            tracing::error!(%status, user = self.credentials.username, "keystone refuses the service user");
            return Err(fault(format!("status {status} to the login of the service user")));
        }
        let token = answer.headers().get("x-subject-token").and_then(|v| v.to_str().ok());
        let value = token.and_then(secret_header).ok_or_else(|| fault("a login without a token"))?;
        let IssuedEnvelope { token: Issued { expires_at } } = decode(answer).await?;
        Ok(ServiceToken { value, expires_at })
    }

    fn password_request(&self) -> Value {
        let c = &self.credentials;
        json!({"auth": {
            "identity": {"methods": ["password"], "password": {"user": {
                "name": c.username,
                "domain": {"name": c.user_domain_name},
                "password": c.password.expose_secret(),
            }}},
            "scope": {"project": {"name": c.project_name, "domain": {"name": c.project_domain_name}}},
        }})
    }
}

/// `…/v3/auth/tokens`, whether or not the operator wrote the version.
fn tokens_url(auth_url: &Url) -> Url {
    let mut url = auth_url.clone();
    url.set_query(None);
    url.set_fragment(None);
    let base = url.path().trim_end_matches('/').to_owned();
    let version = if base.ends_with("/v3") { "" } else { "/v3" };
    url.set_path(&format!("{base}{version}/auth/tokens"));
    url
}

/// A header value that no `Debug` shows.
fn secret_header(token: &str) -> Option<HeaderValue> {
    let visible = token.len() <= TOKEN_MAX && token.bytes().all(|b| b.is_ascii_graphic());
    let mut value = HeaderValue::from_str(token).ok().filter(|_| visible)?;
    value.set_sensitive(true);
    Some(value)
}

async fn send(request: RequestBuilder) -> Result<Response> {
    request.header(header::ACCEPT, "application/json").send().await.map_err(|e| fault(e.without_url()))
}

async fn decode<T: for<'de> Deserialize<'de>>(mut answer: Response) -> Result<T> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|e| fault(e.without_url()))? {
        if body.len() + chunk.len() > ANSWER_MAX {
            return Err(fault(format!("an answer of more than {ANSWER_MAX} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    // The error of serde quotes values of the answer: only its place is kept.
    serde_json::from_slice(&body).map_err(|e| fault(format!("an answer that is no token, at column {}", e.column())))
}

fn fault(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    let cause = cause.into();
    tracing::warn!(%cause, "keystone gave no answer that can be used");
    Error::unavailable("The identity service is not available.", RETRY_AFTER).with_source(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_version_in_every_form_of_the_url() {
        for url in ["http://k:5000", "http://k:5000/", "http://k:5000/v3", "http://k:5000/v3/"] {
            assert_eq!(tokens_url(&url.parse().unwrap()).as_str(), "http://k:5000/v3/auth/tokens", "{url}");
        }
        let url = tokens_url(&"https://cloud/identity".parse().unwrap());
        assert_eq!(url.as_str(), "https://cloud/identity/v3/auth/tokens");
    }

    #[test]
    fn a_token_shows_in_no_debug_output() {
        assert_eq!(format!("{:?}", secret_header("gAAAAABtoken").unwrap()), "Sensitive");
        assert!(secret_header("with space").is_none());
        assert!(secret_header(&"x".repeat(TOKEN_MAX + 1)).is_none());
    }
}
