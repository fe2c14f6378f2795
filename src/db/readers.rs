//! Connections kept for reads.
//!
//! The pool sends a ping over every connection that comes back to it, which doubles the round trips of a service whose
//! requests are single statements. So connections of reads are kept here and go back to the pool only when there are
//! enough. One that broke is dropped, and the read is done again on a fresh one.

use std::sync::{Mutex, PoisonError};

use sqlx::{Any, AnyPool, any::AnyRow, pool::PoolConnection};

use super::tx::{Arg, bound, is_lost};

/// Connections that are neither used nor returned.
pub(super) struct Readers {
    idle: Mutex<Vec<PoolConnection<Any>>>,
    keep: usize,
}

impl Readers {
    /// Keeps at most half of the pool's connections: writers must never wait for idle readers.
    pub(super) fn new(max_connections: u32) -> Self {
        Self { idle: Mutex::default(), keep: max_connections as usize / 2 }
    }

    /// All rows of one statement.
    pub(super) async fn rows(&self, pool: &AnyPool, sql: String, args: Vec<Arg>) -> Result<Vec<AnyRow>, sqlx::Error> {
        if let Some(connection) = self.take() {
            match self.run(connection, sql.clone(), args.clone()).await {
                Err(error) if is_lost(&error) => {
                    tracing::debug!(%error, "a kept connection was lost, a fresh one is taken")
                }
                outcome => return outcome,
            }
        }
        let fresh = pool.acquire().await?;
        self.run(fresh, sql, args).await
    }

    async fn run(
        &self,
        mut connection: PoolConnection<Any>,
        sql: String,
        args: Vec<Arg>,
    ) -> Result<Vec<AnyRow>, sqlx::Error> {
        let outcome = bound(sql, args).fetch_all(&mut *connection).await;
        match &outcome {
            Err(error) if is_lost(error) => {
                // Closed rather than returned: the pool would hand it out again.
                drop(connection.detach());
            }
            _ => self.put(connection),
        }
        outcome
    }

    /// Gives all connections back, before the pool is closed.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    fn take(&self) -> Option<PoolConnection<Any>> {
        self.lock().pop()
    }

    fn put(&self, connection: PoolConnection<Any>) {
        let mut idle = self.lock();
        if idle.len() < self.keep {
            idle.push(connection);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<PoolConnection<Any>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
