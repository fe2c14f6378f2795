//! The outbox: events are written in the transaction of the change and leave after commit.

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::{
    Db,
    row::{get, now, time},
    tx::{Fail, Tx, args, transaction},
};
use crate::{
    error::{Error, Result},
    image::Image,
    notify::Event,
};

/// Microseconds that a gateway has to send what it took, before another may take it.
const CLAIM: i64 = 30_000_000;

/// An event that waits to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEvent {
    /// Row id, growing in the order of commits of one gateway.
    pub id: i64,
    /// `image.create` …
    pub event_type: String,
    /// `INFO` or `ERROR`.
    pub priority: String,
    /// As in [`Event`].
    pub payload: Value,
    /// When it happened.
    pub created_at: Timestamp,
}

impl Db {
    /// Takes events that wait, oldest first. Others do not get them for a while; after a crash they do, so an event
    /// may be sent twice but is never lost.
    ///
    /// # Errors
    /// `Unavailable` when the database is.
    pub async fn pending_events(&self, limit: u32) -> Result<Vec<StoredEvent>> {
        // Looking first keeps an idle gateway from writing.
        let sql = self.text("SELECT id FROM outbox WHERE claimed_until < ? ORDER BY id LIMIT 1");
        if self.row(sql, args![now()]).await?.is_none() {
            return Ok(Vec::new());
        }
        transaction!(self, tx => claim(&mut tx, limit))
    }

    /// Writes events that belong to no change of a row.
    ///
    /// # Errors
    /// `Unavailable` when the database is.
    pub async fn record_events(&self, events: &[Event]) -> Result<()> {
        transaction!(self, tx => write(&mut tx, events, None))
    }

    /// Forgets events that were sent.
    ///
    /// # Errors
    /// `Unavailable` when the database is.
    pub async fn events_sent(&self, ids: &[i64]) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        transaction!(self, tx => forget(&mut tx, ids))
    }
}

/// Writes events; those of `image` tell its state after the change.
pub(super) async fn write(tx: &mut Tx, events: &[Event], image: Option<&Image>) -> Result<(), Fail> {
    let sql = "INSERT INTO outbox (event_type, priority, payload, created_at, claimed_until) VALUES (?, ?, ?, ?, 0)";
    for event in events {
        let settled = image.map(|image| event.settled(image));
        let payload = settled.as_ref().unwrap_or(event).payload.to_string();
        tx.run(sql, args![event.event_type, event.priority, payload, now()]).await?;
    }
    Ok(())
}

async fn claim(tx: &mut Tx, limit: u32) -> Result<Vec<StoredEvent>, Fail> {
    let (at, claim) = (now(), Uuid::new_v4().to_string());
    let sql = "SELECT id FROM outbox WHERE claimed_until < ? ORDER BY id LIMIT ?";
    for row in tx.all(sql, args![at, i64::from(limit)]).await? {
        let take = "UPDATE outbox SET claim = ?, claimed_until = ? WHERE id = ? AND claimed_until < ?";
        tx.run(take, args![&claim, at + CLAIM, get::<i64>(&row, 0)?, at]).await?;
    }
    let sql = "SELECT id, event_type, priority, payload, created_at FROM outbox WHERE claim = ? ORDER BY id";
    let rows = tx.all(sql, args![&claim]).await?;
    let events = rows.iter().map(|row| {
        Ok(StoredEvent {
            id: get(row, 0)?,
            event_type: get(row, 1)?,
            priority: get(row, 2)?,
            payload: serde_json::from_str(&get::<String>(row, 3)?).map_err(Error::internal)?,
            created_at: time(get(row, 4)?)?,
        })
    });
    Ok(events.collect::<Result<_>>()?)
}

async fn forget(tx: &mut Tx, ids: &[i64]) -> Result<(), Fail> {
    for id in ids {
        tx.run("DELETE FROM outbox WHERE id = ?", args![*id]).await?;
    }
    Ok(())
}
