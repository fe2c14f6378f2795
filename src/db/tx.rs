//! Transactions and single statements: binding, bounded retries, and what a failure of the database means.

use std::time::Duration;

use sqlx::{
    Any, AssertSqlSafe, Row, Transaction,
    any::{AnyArguments, AnyRow},
    query::Query,
};
use tokio::sync::OwnedSemaphorePermit;

use super::{Db, dialect::Dialect};
use crate::error::{Error, Result};

/// Times that a transaction is begun before a conflict with others becomes a fault.
const ATTEMPTS: u32 = 8;

/// A parameter. Only these two types reach the databases, so that one driver behaves the same on all of them.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Arg {
    Text(Option<String>),
    Int(Option<i64>),
}

impl From<&str> for Arg {
    fn from(v: &str) -> Self {
        Self::Text(Some(v.to_owned()))
    }
}
impl From<&String> for Arg {
    fn from(v: &String) -> Self {
        Self::Text(Some(v.clone()))
    }
}
impl From<String> for Arg {
    fn from(v: String) -> Self {
        Self::Text(Some(v))
    }
}
impl From<Option<&str>> for Arg {
    fn from(v: Option<&str>) -> Self {
        Self::Text(v.map(str::to_owned))
    }
}
impl From<i64> for Arg {
    fn from(v: i64) -> Self {
        Self::Int(Some(v))
    }
}
impl From<Option<i64>> for Arg {
    fn from(v: Option<i64>) -> Self {
        Self::Int(v)
    }
}
impl From<bool> for Arg {
    fn from(v: bool) -> Self {
        Self::Int(Some(i64::from(v)))
    }
}

/// Parameters in order.
macro_rules! args {
    ($($value:expr),* $(,)?) => { vec![$($crate::db::tx::Arg::from($value)),*] };
}
pub(super) use args;

/// A statement with its parameters bound.
pub(super) fn bound(sql: String, args: Vec<Arg>) -> Query<'static, Any, AnyArguments> {
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for arg in args {
        query = match arg {
            Arg::Text(v) => query.bind(v),
            Arg::Int(v) => query.bind(v),
        };
    }
    query
}

/// Why a transaction ended without effect.
pub(super) enum Fail {
    /// The domain says no.
    Domain(Error),
    /// The database failed; it may be worth another attempt.
    Sql(sqlx::Error),
}

impl From<Error> for Fail {
    fn from(e: Error) -> Self {
        Self::Domain(e)
    }
}
impl From<sqlx::Error> for Fail {
    fn from(e: sqlx::Error) -> Self {
        Self::Sql(e)
    }
}

/// One write transaction. Dropped without [`Tx::commit`] it has no effect.
pub(super) struct Tx {
    inner: Transaction<'static, Any>,
    pub(super) dialect: Dialect,
    /// SQLite has one writer at a time; waiting here is fair and bounded, waiting in the file lock is neither.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Tx {
    /// Runs a statement; returns how many rows it matched.
    pub(super) async fn run(&mut self, sql: &str, args: Vec<Arg>) -> Result<u64, sqlx::Error> {
        Ok(bound(self.dialect.text(sql), args).execute(&mut *self.inner).await?.rows_affected())
    }

    /// All rows.
    pub(super) async fn all(&mut self, sql: &str, args: Vec<Arg>) -> Result<Vec<AnyRow>, sqlx::Error> {
        bound(self.dialect.text(sql), args).fetch_all(&mut *self.inner).await
    }

    /// The first row.
    pub(super) async fn one(&mut self, sql: &str, args: Vec<Arg>) -> Result<Option<AnyRow>, sqlx::Error> {
        bound(self.dialect.text(sql), args).fetch_optional(&mut *self.inner).await
    }

    /// A number that a statement computes; 0 without a row.
    pub(super) async fn number(&mut self, sql: &str, args: Vec<Arg>) -> Result<i64, sqlx::Error> {
        self.one(sql, args).await?.map_or(Ok(0), |row| row.try_get(0))
    }

    async fn commit(self) -> Result<(), sqlx::Error> {
        self.inner.commit().await
    }
}

impl Db {
    pub(super) async fn begin(&self) -> Result<Tx> {
        let permit = match &self.inner.writer {
            Some(writer) => {
                let wait = tokio::time::timeout(self.inner.wait, writer.clone().acquire_owned());
                Some(wait.await.map_err(|e| busy().with_source(e))?.map_err(Error::internal)?)
            }
            None => None,
        };
        let inner = self.inner.pool.begin_with(self.inner.dialect.begin()).await.map_err(fault)?;
        Ok(Tx { inner, dialect: self.inner.dialect, _permit: permit })
    }

    /// Commits or not. `None` asks for another attempt.
    pub(super) async fn finish<T>(&self, tx: Tx, outcome: Result<T, Fail>, attempt: &mut u32) -> Option<Result<T>> {
        let error = match outcome {
            Ok(value) => match tx.commit().await {
                Ok(()) => return Some(Ok(value)),
                Err(error) => error,
            },
            Err(Fail::Domain(error)) => return Some(tx.inner.rollback().await.map_err(fault).and(Err(error))),
            Err(Fail::Sql(error)) => {
                // The failure at hand says more than a failure to roll back, which drops the connection anyway.
                let _ = tx.inner.rollback().await;
                error
            }
        };
        *attempt += 1;
        if *attempt >= ATTEMPTS || !passes(&error) {
            return Some(Err(fault(error)));
        }
        let most = 4u64 << (*attempt).min(6);
        tokio::time::sleep(Duration::from_millis(rand::random_range(1..=most))).await;
        None
    }

    /// All rows of one statement outside of a transaction.
    pub(super) async fn rows(&self, sql: String, args: Vec<Arg>) -> Result<Vec<AnyRow>> {
        self.inner.readers.rows(&self.inner.pool, sql, args).await.map_err(fault)
    }

    /// The first row of one statement outside of a transaction.
    pub(super) async fn row(&self, sql: String, args: Vec<Arg>) -> Result<Option<AnyRow>> {
        Ok(self.rows(sql, args).await?.into_iter().next())
    }

    /// A fixed statement in the words of the server.
    pub(super) fn text(&self, sql: &str) -> String {
        self.inner.dialect.text(sql)
    }
}

/// Runs `$body` on the transaction `$tx`, again while the database reports a conflict with other writers.
macro_rules! transaction {
    ($db:expr, $tx:ident => $body:expr) => {{
        let mut attempt = 0;
        loop {
            let mut $tx = $db.begin().await?;
            let outcome = $body.await;
            if let Some(result) = $db.finish($tx, outcome, &mut attempt).await {
                break result;
            }
        }
    }};
}
pub(super) use transaction;

fn busy() -> Error {
    Error::unavailable("The database is busy.", Duration::from_secs(1))
}

/// Whether the same transaction may succeed when it runs again: a lock, a deadlock, a serialization failure.
fn passes(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    if let Some(mysql) = error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
        return matches!(mysql.number(), 1020 | 1205 | 1213);
    }
    if error.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() {
        // The primary result code is in the low byte: SQLITE_BUSY, SQLITE_LOCKED.
        return error.code().and_then(|c| c.parse::<u32>().ok()).is_some_and(|c| matches!(c & 0xff, 5 | 6));
    }
    error.code().is_some_and(|c| matches!(c.as_ref(), "40001" | "40P01" | "55P03"))
}

/// Whether the connection is gone: the server was restarted or cut off.
pub(super) fn is_lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(e) => {
            e.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().is_some()
                && e.code().is_some_and(|code| code.starts_with("57P"))
        }
        _ => false,
    }
}

/// Whether a row with this key is there already.
pub(super) fn is_duplicate(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

/// What a failure of the database means to the rest of the service: a fault that may pass, or a defect of ours.
pub(super) fn fault(error: sqlx::Error) -> Error {
    let lost =
        |e: sqlx::Error| Error::unavailable("The database is not available.", Duration::from_secs(5)).with_source(e);
    match error {
        sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Protocol(_) => lost(error),
        ref e if passes(e) => busy().with_source(error),
        // PostgreSQL classes 08 (connection), 53 (resources) and 57 (shut down by the operator); SQLite I/O and full disk.
        sqlx::Error::Database(ref e)
            if e.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().is_some()
                && e.code().is_some_and(|c| ["08", "53", "57"].iter().any(|class| c.starts_with(class))) =>
        {
            lost(error)
        }
        sqlx::Error::Database(ref e)
            if e.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some()
                && e.code().and_then(|c| c.parse::<u32>().ok()).is_some_and(|c| matches!(c & 0xff, 10 | 13 | 14)) =>
        {
            lost(error)
        }
        other => Error::internal(other),
    }
}
