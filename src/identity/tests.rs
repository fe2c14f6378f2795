//! Keystone mode against a small Keystone over HTTP that counts what it is asked.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use http::HeaderMap;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::Authenticator;
use crate::{
    config::{Identity, Keystone},
    context::Caller,
    error::{Error, Kind},
};

const ANYWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));

#[derive(Default)]
struct FakeKeystone {
    tokens: Mutex<BTreeMap<String, Value>>,
    logins: AtomicUsize,
    validations: AtomicUsize,
    /// Status of validations, when not the honest one.
    broken: Mutex<Option<StatusCode>>,
    oversized: Mutex<bool>,
}

impl FakeKeystone {
    async fn start() -> (Arc<Self>, SocketAddr) {
        let fake = Arc::new(Self::default());
        let router = Router::new().route("/v3/auth/tokens", get(validate).post(log_in)).with_state(fake.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        (fake, address)
    }

    fn knows(&self, token: &str, roles: &[&str], lives: SignedDuration) {
        let roles: Vec<_> = roles.iter().map(|r| json!({"id": "r", "name": r})).collect();
        let value = json!({"token": {
            "expires_at": (Timestamp::now() + lives).to_string(),
            "user": {"id": "u1", "name": "ann", "domain": {"id": "d1", "name": "D"}},
            "project": {"id": "p1", "name": "blue", "domain": {"id": "d2", "name": "E"}},
            "roles": roles,
        }});
        self.tokens.lock().unwrap().insert(token.into(), value);
    }

    fn forget(&self, token: &str) {
        self.tokens.lock().unwrap().remove(token);
    }

    fn asked(&self) -> (usize, usize) {
        (self.logins.load(SeqCst), self.validations.load(SeqCst))
    }
}

async fn log_in(State(fake): State<Arc<FakeKeystone>>, Json(body): Json<Value>) -> Response {
    if body["auth"]["identity"]["password"]["user"]["password"] != "s3cret" {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let token = format!("service-{}", fake.logins.fetch_add(1, SeqCst) + 1);
    fake.knows(&token, &["service"], SignedDuration::from_hours(1));
    let answer = fake.tokens.lock().unwrap()[&token].clone();
    (StatusCode::CREATED, [("x-subject-token", token)], Json(answer)).into_response()
}

async fn validate(State(fake): State<Arc<FakeKeystone>>, headers: HeaderMap) -> Response {
    fake.validations.fetch_add(1, SeqCst);
    // Long enough for concurrent requests to meet.
    tokio::time::sleep(Duration::from_millis(20)).await;
    if let Some(status) = *fake.broken.lock().unwrap() {
        return (status, [("location", "http://127.0.0.1:1/")]).into_response();
    }
    if *fake.oversized.lock().unwrap() {
        return "x".repeat(2 << 20).into_response();
    }
    let tokens = fake.tokens.lock().unwrap();
    let known = |name: &str| headers.get(name).and_then(|v| tokens.get(v.to_str().ok()?)).cloned();
    match (known("x-auth-token"), known("x-subject-token")) {
        (None, _) => StatusCode::UNAUTHORIZED.into_response(),
        (_, None) => StatusCode::NOT_FOUND.into_response(),
        (_, Some(token)) => Json(token).into_response(),
    }
}

fn config(address: SocketAddr) -> Keystone {
    Keystone {
        auth_url: format!("http://{address}/v3").parse().unwrap(),
        public_auth_url: Some("https://cloud.example.org/identity/v3/".parse().unwrap()),
        username: "glance".into(),
        user_domain_name: "Default".into(),
        project_name: "service".into(),
        project_domain_name: "Default".into(),
        password: "s3cret".into(),
        ca_file: None,
        cache_s: 60,
        cache_max: 1000,
        timeout_s: 1,
        service_token_roles: vec!["Service".into()],
    }
}

fn authenticator(keystone: Keystone) -> Authenticator {
    Authenticator::from_config(&Identity::Keystone(Box::new(keystone))).unwrap()
}

async fn ask(auth: &Authenticator, token: &str, service: Option<&str>) -> Result<Caller, Error> {
    let mut headers = HeaderMap::new();
    headers.insert("x-auth-token", token.parse().unwrap());
    if let Some(service) = service {
        headers.insert("x-service-token", service.parse().unwrap());
    }
    auth.authenticate(&headers, ANYWHERE).await
}

const HOUR: SignedDuration = SignedDuration::from_hours(1);

#[tokio::test]
async fn a_valid_token_becomes_a_caller() {
    let (fake, address) = FakeKeystone::start().await;
    fake.knows("t1", &["Member", "reader"], HOUR);
    let auth = authenticator(config(address));
    let caller = ask(&auth, "t1", None).await.unwrap();
    let expected = Caller {
        user_id: "u1".into(),
        project_id: Some("p1".into()),
        project_domain_id: Some("d2".into()),
        user_domain_id: Some("d1".into()),
        domain_id: None,
        roles: ["member".to_owned(), "reader".to_owned()].into(),
        service_roles: [].into(),
    };
    assert_eq!(caller, expected);
    assert_eq!(auth.challenge().as_deref(), Some("Keystone uri=\"https://cloud.example.org/identity/v3\""));
}

#[tokio::test]
async fn many_requests_with_one_token_make_one_call() {
    let (fake, address) = FakeKeystone::start().await;
    fake.knows("t1", &["member"], HOUR);
    let auth = authenticator(config(address));
    let answers = futures_util::future::join_all((0..32).map(|_| ask(&auth, "t1", None))).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(fake.asked(), (1, 1));
}

#[tokio::test]
async fn a_refusal_is_a_denial_and_is_remembered_briefly() {
    let (fake, address) = FakeKeystone::start().await;
    let auth = authenticator(config(address));
    for _ in 0..3 {
        assert_eq!(ask(&auth, "nope", None).await.unwrap_err().kind(), Kind::Unauthenticated);
    }
    assert_eq!(fake.asked(), (1, 1));
    let nobody = auth.authenticate(&HeaderMap::new(), ANYWHERE).await.unwrap_err();
    assert_eq!(nobody.kind(), Kind::Unauthenticated);
    assert_eq!(fake.asked(), (1, 1));
}

#[tokio::test]
async fn an_expired_token_is_refused_even_from_the_cache() {
    let (fake, address) = FakeKeystone::start().await;
    fake.knows("short", &["member"], SignedDuration::from_millis(600));
    fake.knows("over", &["member"], SignedDuration::from_secs(-1));
    let auth = authenticator(config(address));
    assert!(ask(&auth, "short", None).await.is_ok());
    assert_eq!(ask(&auth, "over", None).await.unwrap_err().kind(), Kind::Unauthenticated);
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(ask(&auth, "short", None).await.unwrap_err().kind(), Kind::Unauthenticated);
}

#[tokio::test]
async fn a_revocation_is_seen_after_the_cache_time() {
    let (fake, address) = FakeKeystone::start().await;
    fake.knows("t1", &["member"], HOUR);
    let auth = authenticator(Keystone { cache_s: 1, ..config(address) });
    assert!(ask(&auth, "t1", None).await.is_ok());
    fake.forget("t1");
    assert!(ask(&auth, "t1", None).await.is_ok(), "still believed");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(ask(&auth, "t1", None).await.unwrap_err().kind(), Kind::Unauthenticated);
}

#[tokio::test]
async fn a_lost_service_token_is_renewed_once() {
    let (fake, address) = FakeKeystone::start().await;
    fake.knows("t1", &["member"], HOUR);
    fake.knows("t2", &["member"], HOUR);
    let auth = authenticator(config(address));
    assert!(ask(&auth, "t1", None).await.is_ok());
    fake.forget("service-1");
    assert!(ask(&auth, "t2", None).await.is_ok());
    assert_eq!(fake.asked(), (2, 3));
}

#[tokio::test]
async fn service_roles_count_only_with_the_right_role() {
    let (fake, address) = FakeKeystone::start().await;
    fake.knows("t1", &["member"], HOUR);
    fake.knows("nova", &["service", "admin"], HOUR);
    fake.knows("other", &["admin"], HOUR);
    let auth = authenticator(config(address));
    let caller = ask(&auth, "t1", Some("nova")).await.unwrap();
    assert_eq!(caller.roles, ["member".to_owned()].into());
    assert_eq!(caller.service_roles, ["admin".to_owned(), "service".to_owned()].into());
    assert!(ask(&auth, "t1", Some("other")).await.unwrap().service_roles.is_empty());
    assert_eq!(ask(&auth, "t1", Some("bogus")).await.unwrap_err().kind(), Kind::Unauthenticated);
}

#[tokio::test]
async fn a_broken_keystone_is_a_fault_not_a_denial() {
    let (fake, address) = FakeKeystone::start().await;
    fake.knows("t1", &["member"], HOUR);
    let auth = authenticator(config(address));
    for status in [500, 503, 429, 403, 302, 401].map(|s| StatusCode::from_u16(s).unwrap()) {
        *fake.broken.lock().unwrap() = Some(status);
        let error = ask(&auth, "t1", None).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable, "{status}");
        assert!(error.retry_after().is_some());
        assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
    }
    *fake.broken.lock().unwrap() = None;
    *fake.oversized.lock().unwrap() = true;
    assert_eq!(ask(&auth, "t1", None).await.unwrap_err().kind(), Kind::Unavailable);
    *fake.oversized.lock().unwrap() = false;
    assert!(ask(&auth, "t1", None).await.is_ok(), "a fault is not remembered");
}

#[tokio::test]
async fn a_silent_or_absent_keystone_is_a_fault() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let auth = authenticator(config(silent.local_addr().unwrap()));
    assert_eq!(ask(&auth, "t1", None).await.unwrap_err().kind(), Kind::Unavailable);
    let address = silent.local_addr().unwrap();
    drop(silent);
    let auth = authenticator(config(address));
    assert_eq!(ask(&auth, "t1", None).await.unwrap_err().kind(), Kind::Unavailable);
}

#[tokio::test]
async fn a_wrong_service_password_is_a_fault_too() {
    let (fake, address) = FakeKeystone::start().await;
    fake.knows("t1", &["member"], HOUR);
    let auth = authenticator(Keystone { password: "wrong".into(), ..config(address) });
    let error = ask(&auth, "t1", None).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(!format!("{error:?}").contains("wrong"), "{error:?}");
}
