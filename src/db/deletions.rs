//! Copies of data: taking one from an image, and the list of what stores still have to delete.
//!
//! A deletion is first tried by the request that makes it. Until it is done it comes due again and again, each time
//! later: one that cannot be done (a clone needs the bytes, the store is gone) must not keep the others waiting.

use std::time::Duration;

use uuid::Uuid;

/// Time from a deletion, or a try of it, to the next try: doubled with each, up to the second.
const PAUSE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(600));

use super::{
    Db, images,
    ledger::{self, Charge},
    outbox,
    row::{get, now, unsigned},
    tx::{Fail, Tx, args, transaction},
};
use crate::{
    authz::Permit,
    error::{Error, Result},
    image::Image,
    notify::Event,
};

/// Data that no image has any more and that a store still holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    /// Row id.
    pub id: String,
    /// The image that had it.
    pub image_id: String,
    /// Store id.
    pub store: String,
    /// Where in the store.
    pub url: String,
}

impl Db {
    /// Takes one copy from an image; its data is to be deleted afterwards.
    ///
    /// # Errors
    /// `Forbidden` for the last copy, `NotFound` when image or copy is not there.
    pub async fn remove_location(
        &self,
        p: &Permit,
        image: &Image,
        location_id: &str,
        events: &[Event],
    ) -> Result<Deletion> {
        p.covers(&image.id)?;
        transaction!(self, tx => remove(&mut tx, &image.id, location_id, events))
    }

    /// What stores have to delete, oldest first.
    ///
    /// # Errors
    /// `Unavailable` when the database is.
    pub async fn deletions(&self, limit: u32) -> Result<Vec<Deletion>> {
        let sql = self.text("SELECT id, image_id, store, url FROM deletions ORDER BY created_at, id LIMIT ?");
        let rows = self.rows(sql, args![i64::from(limit)]).await?;
        rows.iter()
            .map(|r| Ok(Deletion { id: get(r, 0)?, image_id: get(r, 1)?, store: get(r, 2)?, url: get(r, 3)? }))
            .collect()
    }

    /// Whether the note is still there.
    ///
    /// # Errors
    /// `Unavailable` when the database is.
    pub async fn is_noted(&self, id: &str) -> Result<bool> {
        Ok(self.row(self.text("SELECT id FROM deletions WHERE id = ?"), args![id]).await?.is_some())
    }

    /// Takes deletions that are due, those that waited longest first, and puts each off to its next try: of several
    /// gateways one gets it. Whoever takes one does it and calls [`Db::deletion_done`], or lets it come due again.
    ///
    /// # Errors
    /// `Unavailable` when the database is.
    pub async fn due_deletions(&self, limit: u32) -> Result<Vec<Deletion>> {
        // Most of the time nothing is due, and then no transaction begins.
        if self.row(self.text(DUE), args![now(), 1_i64]).await?.is_none() {
            return Ok(Vec::new());
        }
        transaction!(self, tx => take_due(&mut tx, limit))
    }

    /// How many deletions wait.
    ///
    /// # Errors
    /// `Unavailable` when the database is.
    pub async fn waiting_deletions(&self) -> Result<u64> {
        match self.row("SELECT COUNT(*) FROM deletions".into(), args![]).await? {
            Some(row) => unsigned(get(&row, 0)?),
            None => Ok(0),
        }
    }

    /// The store has deleted it. Saying so twice is fine.
    ///
    /// # Errors
    /// `Unavailable` when the database is.
    pub async fn deletion_done(&self, p: &Permit, id: &str) -> Result<()> {
        tracing::debug!(deletion = id, decision = p.decision(), "data deleted");
        transaction!(self, tx => done(&mut tx, id))
    }
}

const DUE: &str = "SELECT id, image_id, store, url, due_at, attempts FROM deletions WHERE due_at <= ? \
    ORDER BY due_at, id LIMIT ?";

async fn take_due(tx: &mut Tx, limit: u32) -> Result<Vec<Deletion>, Fail> {
    let at = now();
    let mut taken = Vec::new();
    for row in tx.all(DUE, args![at, i64::from(limit)]).await? {
        let (id, due, attempts): (String, i64, i64) = (get(&row, 0)?, get(&row, 4)?, get(&row, 5)?);
        let sql = "UPDATE deletions SET due_at = ?, attempts = attempts + 1 WHERE id = ? AND due_at = ?";
        let next = at.saturating_add(pause(attempts + 1));
        if tx.run(sql, args![next, &id, due]).await? > 0 {
            taken.push(Deletion { id, image_id: get(&row, 1)?, store: get(&row, 2)?, url: get(&row, 3)? });
        }
    }
    Ok(taken)
}

/// Microseconds to the next try of a deletion that was tried so often.
fn pause(attempts: i64) -> i64 {
    let doubled = u32::try_from(attempts.clamp(0, 20)).map_or(1, |n| 1_u32 << n);
    i64::try_from(PAUSE.0.saturating_mul(doubled).min(PAUSE.1).as_micros()).unwrap_or(i64::MAX)
}

async fn done(tx: &mut Tx, id: &str) -> Result<(), Fail> {
    tx.run("DELETE FROM deletions WHERE id = ?", args![id]).await?;
    Ok(())
}

async fn remove(tx: &mut Tx, image: &str, location: &str, events: &[Event]) -> Result<Deletion, Fail> {
    let lock = "UPDATE images SET version = version + 1, updated_at = ? WHERE id = ? AND deleted = 0";
    if tx.run(lock, args![now(), image]).await? == 0 {
        return Err(images::missing(image).into());
    }
    let before = images::read(tx, image).await?;
    let Some(copy) = before.locations.iter().find(|l| l.id == location) else {
        return Err(Error::not_found(format!("Image {image} has no such location")).into());
    };
    if before.locations.len() == 1 {
        return Err(Error::forbidden(format!("Cannot delete the last location of image {image}")).into());
    }
    let gone = take(tx, image, location, &copy.store, &copy.url).await?;
    if let (Some(owner), Some(size)) = (&before.owner, before.size) {
        let back = i64::try_from(size).unwrap_or(i64::MAX);
        ledger::apply(tx, vec![Charge::in_use(owner, ledger::SIZE_TOTAL, -back)]).await?;
    }
    let after = Image { locations: before.locations.iter().filter(|l| l.id != location).cloned().collect(), ..before };
    outbox::write(tx, events, Some(&after)).await?;
    Ok(gone)
}

/// Turns all locations of an image into deletions.
pub(super) async fn take_all(tx: &mut Tx, image: &str) -> Result<Vec<Deletion>, Fail> {
    let rows =
        tx.all("SELECT id, store, url FROM image_locations WHERE image_id = ? ORDER BY id", args![image]).await?;
    let mut gone = Vec::with_capacity(rows.len());
    for row in &rows {
        let (id, store, url): (String, String, String) = (get(row, 0)?, get(row, 1)?, get(row, 2)?);
        gone.push(take(tx, image, &id, &store, &url).await?);
    }
    Ok(gone)
}

async fn take(tx: &mut Tx, image: &str, location: &str, store: &str, url: &str) -> Result<Deletion, Fail> {
    tx.run("DELETE FROM image_locations WHERE id = ? AND image_id = ?", args![location, image]).await?;
    let id = Uuid::now_v7().to_string();
    // The request that makes the note tries first; the note comes due after that.
    let (at, sql) =
        (now(), "INSERT INTO deletions (id, image_id, store, url, created_at, due_at) VALUES (?, ?, ?, ?, ?, ?)");
    tx.run(sql, args![&id, image, store, url, at, at.saturating_add(pause(0))]).await?;
    Ok(Deletion { id, image_id: image.to_owned(), store: store.to_owned(), url: url.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::pause;

    #[test]
    fn tries_grow_rarer_up_to_a_limit() {
        let seconds: Vec<i64> = [0, 1, 2, 6, 7, 8, i64::MAX].map(|n| pause(n) / 1_000_000).into();
        assert_eq!(seconds, [5, 10, 20, 320, 600, 600, 600]);
    }
}
