//! The database layer on each database: SQLite always, and those that `FANLIGHT_TEST_DATABASES` names.

use std::{future::Future, time::Duration};

use fanlight::{
    authz::Permit,
    config,
    db::{BeginUpload, Db, Published, Upload},
    image::{Image, Status, Visibility},
    quota::Limits,
};
use jiff::Timestamp;
use sqlx::{Connection, Executor};
use tempfile::TempDir;
use url::Url;
use uuid::Uuid;

mod claims;
mod copies;
mod deletions;
mod images;
mod ledger;
pub mod list;
mod members;
mod outbox;
mod schema;
mod states;
mod uploads;

/// Where one test runs: its own database, gone afterwards.
pub struct Place {
    /// Connected and migrated.
    pub db: Db,
    /// `sqlite`, `postgres` or `mysql`.
    pub kind: String,
    /// For a second connection.
    pub config: config::Database,
    /// Data folder of SQLite.
    pub dir: TempDir,
    server: Option<(Url, String)>,
}

impl Place {
    /// A database on this server, or a SQLite file.
    pub async fn new(server: Option<&Url>) -> Self {
        sqlx::any::install_default_drivers();
        let dir = TempDir::new().expect("a temporary folder");
        let mut config = config::Database { max_connections: 12, ..config::Database::default() };
        let mut made = None;
        if let Some(server) = server {
            let name = format!("fanlight_{}", Uuid::new_v4().simple());
            execute(server, &format!("CREATE DATABASE {name}")).await;
            let mut url = server.clone();
            url.set_path(&name);
            config.url = Some(url.to_string().into());
            made = Some((server.clone(), name));
        }
        let db = Db::connect(&config, dir.path()).await.expect("the database answers");
        db.migrate().await.expect("migrations run");
        let kind = server.map_or("sqlite", |url| if url.scheme().starts_with('p') { "postgres" } else { "mysql" });
        Self { db, kind: kind.into(), config, dir, server: made }
    }

    /// Takes the database away.
    pub async fn close(self) {
        self.db.close().await;
        if let Some((server, name)) = self.server {
            execute(&server, &format!("DROP DATABASE {name}")).await;
        }
    }
}

async fn execute(server: &Url, sql: &str) {
    let mut connection = sqlx::AnyConnection::connect(server.as_str()).await.expect("the server answers");
    connection.execute(sqlx::AssertSqlSafe(sql.to_owned())).await.expect("the statement runs");
    connection.close().await.expect("the connection closes");
}

/// The servers to test on, beside SQLite.
pub fn servers() -> Vec<Url> {
    let named = std::env::var("FANLIGHT_TEST_DATABASES").unwrap_or_default();
    named.split(',').filter(|s| !s.trim().is_empty()).map(|s| s.trim().parse().expect("a URL")).collect()
}

/// Runs a test on SQLite and on each server.
pub fn on_each<F: Future<Output = ()>>(test: impl Fn(Db, String) -> F) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let servers = servers();
        for server in std::iter::once(None).chain(servers.iter().map(Some)) {
            let place = Place::new(server).await;
            test(place.db.clone(), place.kind.clone()).await;
            assert_eq!(place.db.check().await.expect("a check"), Vec::<String>::new(), "on {}", place.kind);
            place.close().await;
        }
    });
}

/// Permission of a test.
pub fn permit() -> Permit {
    Permit::system("test")
}

/// A queued image.
pub fn image(owner: Option<&str>) -> Image {
    let now = Timestamp::from_microsecond(Timestamp::now().as_microsecond()).expect("a time");
    Image {
        id: Uuid::new_v4().to_string(),
        name: None,
        status: Status::Queued,
        visibility: Visibility::Shared,
        owner: owner.map(str::to_owned),
        protected: false,
        os_hidden: false,
        checksum: None,
        os_hash_algo: None,
        os_hash_value: None,
        size: None,
        virtual_size: None,
        container_format: None,
        disk_format: None,
        min_disk: 0,
        min_ram: 0,
        tags: [].into(),
        properties: [].into(),
        members: vec![],
        locations: vec![],
        created_at: now,
        updated_at: now,
        version: 1,
    }
}

/// Creates without limits and events.
pub async fn create(db: &Db, image: &Image) -> Image {
    db.create_image(&permit(), image, &Limits::default(), &[]).await.expect("a new image")
}

/// How tests begin an upload.
pub fn begin(declared: Option<u64>, limits: Limits) -> BeginUpload {
    BeginUpload {
        store: "alpha".into(),
        declared,
        limits,
        node: "n1".into(),
        boot: "b1".into(),
        lease: Duration::from_secs(60),
    }
}

/// What tests publish.
pub fn published(size: u64) -> Published {
    Published {
        url: "file:///data/x".into(),
        size,
        virtual_size: Some(size),
        checksum: "0".repeat(32),
        os_hash_algo: "sha512".into(),
        os_hash_value: "1".repeat(128),
    }
}

/// A new active image with this many bytes.
pub async fn active(db: &Db, owner: Option<&str>, size: u64) -> Image {
    let image = create(db, &image(owner)).await;
    let upload: Upload = db.begin_upload(&permit(), &image, begin(Some(size), Limits::default())).await.expect("begin");
    db.publish_upload(&permit(), &upload, &published(size), &[]).await.expect("publish")
}
