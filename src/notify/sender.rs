//! The loop that empties the outbox. Events go to the log under the target `fanlight::event`.

use std::time::Duration;

use crate::{
    db::{Db, StoredEvent},
    error::Result,
};

/// Events of one round.
const BATCH: u32 = 100;
/// Pause of an idle loop.
const IDLE: Duration = Duration::from_millis(500);
/// Pause after a fault of the database.
const FAULT: Duration = Duration::from_secs(5);

/// Sends what is in the outbox, in order. At least once: an event that was sent is forgotten afterwards.
#[derive(Clone)]
pub struct Sender {
    db: Db,
}

impl Sender {
    /// A sender of the events in `db`.
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    /// Sends for ever; ends when the future is dropped.
    pub async fn run(self) {
        loop {
            let pause = match self.send_pending().await {
                Ok(0) => IDLE,
                Ok(_) => continue,
                Err(error) => {
                    tracing::warn!(?error, "events could not be read from the outbox");
                    FAULT
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Sends one batch; returns how many events there were.
    ///
    /// # Errors
    /// `Unavailable` when the database is.
    pub async fn send_pending(&self) -> Result<usize> {
        let events = self.db.pending_events(BATCH).await?;
        for event in &events {
            log(event);
        }
        let ids: Vec<i64> = events.iter().map(|event| event.id).collect();
        self.db.events_sent(&ids).await?;
        Ok(events.len())
    }
}

fn log(event: &StoredEvent) {
    tracing::info!(
        target: "fanlight::event",
        id = event.id,
        event_type = %event.event_type,
        priority = %event.priority,
        at = %event.created_at,
        payload = %event.payload,
    );
}
