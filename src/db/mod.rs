//! The only module with SQL: images, uploads, ledger and outbox over SQLite, PostgreSQL, and MariaDB or MySQL.
//!
//! Statements are written once for all three: fixed ones as text with `?`, the list query composed by sea-query; what
//! differs is in `dialect`. Parameters and columns are text and 64-bit numbers only (booleans 0 or 1, times as
//! microseconds since the epoch).
//!
//! Invariants
//! * Each mutation is one short transaction and asks for a [`Permit`](crate::authz::Permit).
//! * Locks are taken in one order everywhere: image, upload, copy, ledger (by scope and resource), the rest. So no deadlock.
//! * No function takes a second connection while it holds one.

use std::{path::Path, sync::Arc, time::Duration};

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use secrecy::ExposeSecret;
use sqlx::{
    AnyPool, Executor, Row,
    any::{AnyConnectOptions, AnyPoolOptions},
};
use tokio::sync::Semaphore;
use url::Url;

use crate::{
    config,
    error::{Error, Result},
};

mod changes;
mod claims;
mod copies;
mod deletions;
mod dialect;
mod images;
mod inventory;
mod ledger;
mod list;
mod members;
mod outbox;
mod readers;
mod row;
mod schema;
mod statement;
mod stores;
mod tx;
mod uploads;

pub use copies::{CopyLease, CopyState, Transfer};
pub use deletions::Deletion;
pub use inventory::{Claim, Held};
pub use ledger::{Drift, Usage};
pub use outbox::StoredEvent;
pub use schema::SchemaStatus;
pub use stores::Holds;
pub use uploads::{BeginUpload, Published, Upload};

use dialect::Dialect;
use readers::Readers;
use tx::{bound, fault};

/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Db {
    inner: Arc<Inner>,
}

struct Inner {
    pool: AnyPool,
    readers: Readers,
    dialect: Dialect,
    /// One permit: SQLite has one writer at a time. `None` where the server sorts that out.
    writer: Option<Arc<Semaphore>>,
    /// How long a caller waits for a connection or the writer's permit.
    wait: Duration,
    /// The one statement that reads a whole image.
    image_by_id: String,
}

/// Characters of a file path that a URL would take for something else.
const PATH: &AsciiSet = &CONTROLS.add(b' ').add(b'%').add(b'?').add(b'#');

impl Db {
    /// Connects. Creates the file of a SQLite database, and runs no migration.
    ///
    /// # Errors
    /// `Invalid` for a URL that cannot be, `Unavailable` when the server does not answer.
    pub async fn connect(cfg: &config::Database, data_dir: &Path) -> Result<Self> {
        sqlx::any::install_default_drivers();
        let url = url(cfg, data_dir)?;
        let dialect = Dialect::of_scheme(url.scheme()).ok_or_else(|| {
            Error::invalid(format!("unknown database `{}`: use sqlite, postgres or mysql", url.scheme()))
        })?;
        let wait = Duration::from_secs(cfg.acquire_timeout_s.max(1));
        let pool = pool(cfg, wait, dialect, &url).await?;
        let dialect = match dialect {
            Dialect::Mysql { .. } => {
                let row = bound("SELECT VERSION()".into(), vec![]).fetch_one(&pool).await.map_err(fault)?;
                dialect.with_server_version(&row.try_get::<String, _>(0).map_err(fault)?)
            }
            other => other,
        };
        let writer = (dialect == Dialect::Sqlite).then(|| Arc::new(Semaphore::new(1)));
        let image_by_id = dialect.text(&row::image_by_id(dialect));
        let readers = Readers::new(cfg.max_connections);
        Ok(Self { inner: Arc::new(Inner { pool, readers, dialect, writer, wait, image_by_id }) })
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// `Unavailable` when it does not.
    pub async fn ping(&self) -> Result<()> {
        self.row("SELECT 1".into(), vec![]).await.map(drop)
    }

    /// Whether the database belongs to this gateway alone (SQLite), so that no operator has to migrate it.
    pub fn is_embedded(&self) -> bool {
        self.inner.dialect == Dialect::Sqlite
    }

    /// Closes all connections; later calls fail with `Unavailable`.
    pub async fn close(&self) {
        self.inner.readers.clear();
        self.inner.pool.close().await;
    }
}

async fn pool(cfg: &config::Database, wait: Duration, dialect: Dialect, url: &Url) -> Result<AnyPool> {
    let options: AnyConnectOptions = url
        .as_str()
        .parse()
        .map_err(|e: sqlx::Error| Error::invalid("the database URL is malformed").with_source(e))?;
    AnyPoolOptions::new()
        .max_connections(cfg.max_connections.max(2))
        .acquire_timeout(wait)
        // A ping before each use would double the round trips; a connection that broke shows in its first statement.
        .test_before_acquire(false)
        .after_connect(move |connection, _| {
            Box::pin(async move {
                for statement in dialect.session() {
                    connection.execute(*statement).await?;
                }
                Ok(())
            })
        })
        .connect_with(options)
        .await
        .map_err(fault)
}

/// The URL of the configuration, or that of a SQLite file in the data folder.
fn url(cfg: &config::Database, data_dir: &Path) -> Result<Url> {
    let text = match &cfg.url {
        Some(url) => url.expose_secret().trim().to_owned(),
        None => {
            std::fs::create_dir_all(data_dir)
                .map_err(|e| Error::invalid(format!("cannot make `{}`", data_dir.display())).with_source(e))?;
            let path = data_dir.join("fanlight.db");
            let path = path.to_str().ok_or_else(|| Error::invalid("the data folder's path is not UTF-8"))?;
            format!("sqlite:{}", utf8_percent_encode(path, PATH))
        }
    };
    // The URL may hold a password: neither it nor the parser's complaint is repeated.
    let mut url = Url::parse(&text).map_err(|_| Error::invalid("the database URL is malformed"))?;
    if url.scheme() == "sqlite" {
        if text.contains(":memory:") {
            return Err(Error::invalid("an in-memory SQLite database is not shared between connections; name a file"));
        }
        if !url.query_pairs().any(|(key, _)| key == "mode") {
            url.query_pairs_mut().append_pair("mode", "rwc");
        }
    }
    Ok(url)
}
