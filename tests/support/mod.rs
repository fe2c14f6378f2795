//! A whole gateway in process: real database, real file stores, shipped policies and plug-ins, no port.
//!
//! `FANLIGHT_TEST_DATABASE` names a PostgreSQL or MariaDB server in which every test makes a database of its own;
//! without it the tests run on SQLite.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::ConnectInfo,
    http::{HeaderMap, Request, StatusCode},
};
use fanlight::{App, config::Config, store::Stores};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

mod database;
mod fake;
mod faulty;
mod gateway;

pub use database::Database;
pub use fake::{FakeStore, fakes};
pub use faulty::{Faults, FaultyStore};
pub use gateway::Gateway;

/// Tokens of the development identity, by role in the tests' stories.
pub const ADMIN: &str = "root:ops:admin";
pub const ALICE: &str = "alice:blue:member";
pub const ALICE_READER: &str = "amy:blue:reader";
pub const BOB: &str = "bob:green:member";
pub const SERVICE: &str = "nova:service:service";

/// A gateway in a folder of its own that vanishes with it.
pub struct TestApp {
    pub app: Arc<App>,
    router: Router,
    admin: Router,
    _database: Database,
    folder: tempfile::TempDir,
}

impl TestApp {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// With a changed configuration.
    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::built(change, |stores, _| stores.clone()).await
    }

    /// With a changed configuration, and other stores than it makes.
    pub async fn with_stores(change: impl FnOnce(&mut Config), exchange: impl FnOnce(&Stores) -> Stores) -> Self {
        Self::built(change, |stores, _| exchange(stores)).await
    }

    /// With fake stores `alpha` and `beta`.
    pub async fn faked(change: impl FnOnce(&mut Config)) -> (Self, Arc<FakeStore>, Arc<FakeStore>) {
        let mut made = None;
        let app = Self::built(change, |_, folder| {
            let (stores, alpha, beta) = fakes(folder);
            made = Some((alpha, beta));
            stores
        });
        let app = app.await;
        let (alpha, beta) = made.unwrap();
        (app, alpha, beta)
    }

    async fn built(change: impl FnOnce(&mut Config), exchange: impl FnOnce(&Stores, &Path) -> Stores) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::create().await;
        let mut config = Config::development(folder.path());
        if let Some(url) = database.url() {
            config.database.url = Some(url.to_owned().into());
        }
        config.database.max_connections = 4;
        change(&mut config);
        let mut app = App::open(config).await.unwrap();
        let stores = exchange(&app.stores, folder.path());
        Arc::get_mut(&mut app).unwrap().stores = stores;
        app.db.migrate().await.unwrap();
        app.stores.refresh().await;
        let router = fanlight::api::router(app.clone());
        let admin = fanlight::api::admin::router(app.clone());
        Self { app, router, admin, _database: database, folder }
    }

    /// Puts a policy file beside the shipped ones in force, in place of the one before it.
    pub async fn rule(&self, text: &str) {
        std::fs::write(self.folder().join("policies/more.cedar"), text).unwrap();
        let outcome = self.app.rules.reload("test", fanlight::rules::Removals::Accepted).await;
        assert!(matches!(outcome, fanlight::rules::Outcome::Loaded { .. }), "{outcome:?}");
    }

    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Sends one request; `token` goes into `X-Auth-Token`.
    pub async fn request(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Reply {
        let mut request = Request::builder().method(method).uri(path).header("host", "images.test");
        if let Some(token) = token {
            request = request.header("x-auth-token", token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(body.into()).unwrap();
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 40_000))));
        let reply = Reply::of(self.router.clone(), request).await;
        self.assert_explained(&reply).await;
        reply
    }

    /// Asks the operator's listener.
    pub async fn admin(&self, method: &str, path: &str, json: Option<Value>) -> Reply {
        self.admin_as("", method, path, json).await
    }

    /// Asks the operator's listener with a token.
    pub async fn admin_as(&self, token: &str, method: &str, path: &str, json: Option<Value>) -> Reply {
        let request = Request::builder().method(method).uri(path).header("x-auth-token", token);
        let request = match json {
            Some(json) => request.header("content-type", "application/json").body(json.to_string().into()),
            None => request.body(Body::empty()),
        };
        let mut request = request.unwrap();
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 40_000))));
        Reply::of(self.admin.clone(), request).await
    }

    /// Every 403 names a decision, and every image, store and membership that is hidden is found by the id of the
    /// request; an administrator learns the reason for either.
    async fn assert_explained(&self, reply: &Reply) {
        let id = match reply.status {
            StatusCode::FORBIDDEN => reply.header("x-fanlight-decision"),
            StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST if self.is_hidden(reply).await => {
                reply.header("x-openstack-request-id")
            }
            _ => return,
        };
        assert!(!id.is_empty(), "a refusal without an id: {}", reply.text());
        let explained = self.admin_as(ADMIN, "GET", &format!("/decisions/{id}"), None).await;
        assert_eq!(explained.status, StatusCode::OK, "{id}: {}", explained.text());
        for one in explained.json().as_array().unwrap() {
            let reason = one["reason"].as_str().unwrap();
            let names = ["`", "by no policy"].iter().any(|part| reason.contains(part));
            assert!(names && !reason.contains("permitted by"), "{id}: {reason}");
        }
    }

    /// Whether what is said not to be there is there.
    async fn is_hidden(&self, reply: &Reply) -> bool {
        assert_eq!(
            reply.header("x-fanlight-decision"),
            "",
            "the header would tell what is hidden from what is not there"
        );
        let text = reply.text();
        let after = |words: &str| text.split(words).nth(1).map(str::to_owned);
        let word = |text: String| text.split([' ', '"', '.', '<']).next().unwrap_or_default().to_owned();
        if let Some(store) = after("Invalid store identifier: ").or_else(|| after("Store ")).map(word) {
            return self.app.stores.get(&store).is_some();
        }
        let member = text.split_once(" not found in the member list of the image ");
        let member = member.map(|(before, _)| before.rsplit(['"', '\n', ' ', '>']).next().unwrap_or_default());
        let image = after("No image found with ID ").or_else(|| after("Invalid marker. Image "));
        let Some(id) = image.or_else(|| after("member list of the image ")) else { return false };
        let image = id.get(..36).map(|id| self.app.db.image(id));
        let Some(Ok(Some(image))) = (match image {
            Some(image) => Some(image.await),
            None => None,
        }) else {
            return false;
        };
        member.is_none_or(|project| image.member(project).is_some())
    }

    pub async fn get(&self, path: &str, token: &str) -> Reply {
        self.request("GET", path, Some(token), &[("accept", "application/json")], Body::empty()).await
    }

    pub async fn delete(&self, path: &str, token: &str) -> Reply {
        self.request("DELETE", path, Some(token), &[("accept", "application/json")], Body::empty()).await
    }

    pub async fn post(&self, path: &str, token: &str, json: Value) -> Reply {
        let headers = [("content-type", "application/json"), ("accept", "application/json")];
        self.request("POST", path, Some(token), &headers, json.to_string()).await
    }

    pub async fn put(&self, path: &str, token: &str, json: Value) -> Reply {
        let headers = [("content-type", "application/json"), ("accept", "application/json")];
        self.request("PUT", path, Some(token), &headers, json.to_string()).await
    }

    pub async fn patch(&self, id: &str, token: &str, json: Value) -> Reply {
        let headers =
            [("content-type", "application/openstack-images-v2.1-json-patch"), ("accept", "application/json")];
        self.request("PATCH", &format!("/v2/images/{id}"), Some(token), &headers, json.to_string()).await
    }

    pub async fn upload(&self, id: &str, token: &str, data: impl Into<Body>) -> Reply {
        let headers = [("content-type", "application/octet-stream"), ("accept", "application/json")];
        self.request("PUT", &format!("/v2/images/{id}/file"), Some(token), &headers, data).await
    }

    /// A queued raw image of `token`'s project; returns its id.
    pub async fn queued(&self, token: &str, name: &str) -> String {
        let wish = serde_json::json!({"name": name, "disk_format": "raw", "container_format": "bare"});
        self.created(token, wish).await
    }

    /// An image made from `wish`; returns its id.
    pub async fn created(&self, token: &str, wish: Value) -> String {
        let reply = self.post("/v2/images", token, wish).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text());
        reply.json()["id"].as_str().unwrap().to_owned()
    }

    /// An active raw image with `data`; returns its id.
    pub async fn active(&self, token: &str, name: &str, data: &'static [u8]) -> String {
        let id = self.queued(token, name).await;
        let reply = self.upload(&id, token, data).await;
        assert_eq!(reply.status, StatusCode::NO_CONTENT, "{}", reply.text());
        id
    }

    /// Every object of every store, finished or partial.
    pub async fn inventory(&self) -> Vec<String> {
        let mut all = Vec::new();
        for entry in self.app.stores.iter() {
            for object in entry.store().list().await.unwrap() {
                all.push(format!("{}/{}{}", entry.id(), object.name, if object.partial { " (partial)" } else { "" }));
            }
        }
        all.sort();
        all
    }
}

/// An answer, its body read to the end.
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    body: Result<Bytes, String>,
}

impl Reply {
    async fn of(router: Router, request: Request<Body>) -> Self {
        let (parts, body) = router.oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.map(|b| b.to_bytes());
        Self { status: parts.status, headers: parts.headers, body: body.map_err(|e| e.to_string()) }
    }

    /// The body; panics when it was cut off.
    pub fn bytes(&self) -> Bytes {
        self.body.clone().unwrap()
    }

    /// Whether the body was cut off.
    pub fn is_cut(&self) -> bool {
        self.body.is_err()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes()).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    /// Status and error message in one line, for snapshots.
    pub fn outcome(&self) -> String {
        let message = serde_json::from_slice::<Value>(&self.bytes())
            .ok()
            .and_then(|v| v["message"].as_str().map(str::to_owned))
            .unwrap_or_default();
        format!("{} {message}", self.status.as_u16()).trim_end().to_owned()
    }
}
