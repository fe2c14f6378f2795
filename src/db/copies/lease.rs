//! Working on a copy: who takes it has a lease, and a token that fences.
//!
//! Whoever takes over changes the token; from then on every call of the former holder ends in `Gone`. A holder learns
//! from its own sign of life that its copy was given up meanwhile, and removes the bytes itself.

use std::time::Duration;

use uuid::Uuid;

use super::{
    super::{changes, outbox},
    CopyState, Db, OPEN, list, lock_image, occupied, release,
};
use crate::{
    authz::Permit,
    db::{
        images,
        ledger::{self, Charge},
        row::{get, now, signed, unsigned, word},
        tx::{Fail, Tx, args, transaction},
    },
    error::{Error, Kind, Result},
    image::Image,
    notify::Event,
};

/// Characters of an error that are kept.
const ERROR_MAX: usize = 1000;

/// A copy, as its holder knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyLease {
    /// Row id.
    pub id: String,
    /// The image.
    pub image_id: String,
    /// Store that is written.
    pub store: String,
    /// Stores to turn to when that one is full.
    pub others: Vec<String>,
    /// Bytes that were safe when it was taken.
    pub done: u64,
    /// Bytes of the image.
    pub total: u64,
    /// `Running`, or one of the two in which bytes are removed.
    pub state: CopyState,
    /// Times that it failed since it last got on.
    pub attempts: u32,
    /// Nobody wrote to the store on its behalf yet: what lies there is not ours.
    pub fresh: bool,
    token: String,
    lease_us: i64,
}

/// Candidates, oldest first: those that wait, and those whose holder is dead.
const READY: &str = "SELECT id FROM copies WHERE not_before <= ? AND (state = 'queued' OR \
    (state IN ('running', 'cancelling', 'failing') AND (lease_until < ? OR (node = ? AND boot <> ?)))) \
    ORDER BY created_at, id LIMIT 20";

impl Db {
    /// Takes the oldest copy that nobody works on, for `lease` without a sign of life.
    ///
    /// # Errors
    /// `Unavailable` when the database is.
    pub async fn take_copy(&self, node: &str, boot: &str, lease: Duration) -> Result<Option<CopyLease>> {
        let at = now();
        changes::text("node", node, 255)?;
        for row in &self.rows(self.text(READY), args![at, at, node, boot]).await? {
            let id: String = get(row, 0)?;
            let taken = transaction!(self, tx => take(&mut tx, &id, node, boot, lease, at))?;
            if taken.is_some() {
                return Ok(taken);
            }
        }
        Ok(None)
    }

    /// A sign of life, with the bytes that are safe and the store that is read. Tells whether the copy was given up.
    ///
    /// # Errors
    /// `Gone` when the lease is no longer ours.
    pub async fn touch_copy(&self, c: &CopyLease, done: u64, source: Option<&str>) -> Result<CopyState> {
        transaction!(self, tx => touch(&mut tx, c, done, source))
    }

    /// Adds the copy, which was read from `source`, to the image, in one transaction with its reservation and the events.
    ///
    /// # Errors
    /// `Gone` when image or lease are no longer there: the bytes are not ours to keep.
    pub async fn publish_copy(
        &self,
        p: &Permit,
        c: &CopyLease,
        source: Option<&str>,
        url: &str,
        events: &[Event],
    ) -> Result<Image> {
        p.covers(&c.image_id)?;
        transaction!(self, tx => publish(&mut tx, c, source, url, events))
    }

    /// Back into the queue for a while, with what went wrong; a copy that is being removed stays that.
    ///
    /// # Errors
    /// `Gone` when the lease is no longer ours.
    pub async fn retry_copy(&self, c: &CopyLease, done: u64, error: &str, attempts: u32, wait: Duration) -> Result<()> {
        let error = shortened(error);
        transaction!(self, tx => retry(&mut tx, c, done, &error, attempts, wait))
    }

    /// Turns to the next of the other stores; the bytes in the one before are gone. `false` when there is none left.
    ///
    /// # Errors
    /// `Gone` when image or lease are no longer there.
    pub async fn move_copy(&self, c: &mut CopyLease, error: &str) -> Result<bool> {
        let error = shortened(error);
        match transaction!(self, tx => redirect(&mut tx, c, &error))? {
            Some((store, others)) => {
                (c.store, c.others, c.done, c.attempts, c.fresh) = (store, others, 0, 0, true);
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// Gives a copy up for good: the reservation ends now, the bytes are to be removed, then [`Db::end_copy`]. With
    /// `unwritten` there are none, and it has ended.
    ///
    /// # Errors
    /// `Gone` when the lease is no longer ours or somebody else gave it up.
    pub async fn fail_copy(&self, p: &Permit, c: &CopyLease, error: &str, unwritten: bool) -> Result<()> {
        p.covers(&c.image_id)?;
        let error = shortened(error);
        let state = if unwritten { CopyState::Failed } else { CopyState::Failing };
        transaction!(self, tx => fail(&mut tx, c, &error, state))
    }

    /// The bytes of a copy that was given up are gone.
    ///
    /// # Errors
    /// `Gone` when the lease is no longer ours.
    pub async fn end_copy(&self, p: &Permit, c: &CopyLease) -> Result<()> {
        p.covers(&c.image_id)?;
        transaction!(self, tx => end(&mut tx, c))
    }
}

fn gone() -> Fail {
    Error::new(Kind::Gone, "The copy is no longer ours").into()
}

fn shortened(error: &str) -> String {
    error.chars().filter(|c| *c != '\0').take(ERROR_MAX).collect()
}

async fn take(
    tx: &mut Tx,
    id: &str,
    node: &str,
    boot: &str,
    lease: Duration,
    at: i64,
) -> Result<Option<CopyLease>, Fail> {
    let token = Uuid::new_v4().to_string();
    let lease_us = i64::try_from(lease.as_micros()).unwrap_or(i64::MAX >> 1);
    let sql = "UPDATE copies SET token = ?, lease_us = ?, lease_until = ?, \
        state = CASE WHEN state = 'queued' THEN 'running' ELSE state END, updated_at = ? \
        WHERE id = ? AND not_before <= ? AND (state = 'queued' OR \
        (state IN ('running', 'cancelling', 'failing') AND (lease_until < ? OR (node = ? AND boot <> ?))))";
    let until = now().saturating_add(lease_us);
    let fresh = tx.number("SELECT COUNT(*) FROM copies WHERE id = ? AND node = ''", args![id]).await? > 0;
    if tx.run(sql, args![&token, lease_us, until, now(), id, at, at, node, boot]).await? == 0 {
        return Ok(None);
    }
    tx.run("UPDATE copies SET node = ?, boot = ? WHERE id = ?", args![node, boot, id]).await?;
    let sql = "SELECT image_id, store, others, done, total, state, attempts FROM copies WHERE id = ?";
    let row = tx.one(sql, args![id]).await?.ok_or_else(gone)?;
    Ok(Some(CopyLease {
        id: id.to_owned(),
        image_id: get(&row, 0)?,
        store: get(&row, 1)?,
        others: list(&get::<String>(&row, 2)?),
        done: unsigned(get(&row, 3)?)?,
        total: unsigned(get(&row, 4)?)?,
        state: word(&get::<String>(&row, 5)?)?,
        attempts: unsigned(get(&row, 6)?)?,
        fresh,
        token,
        lease_us,
    }))
}

async fn touch(tx: &mut Tx, c: &CopyLease, done: u64, source: Option<&str>) -> Result<CopyState, Fail> {
    let sql = format!(
        "UPDATE copies SET lease_until = ?, done = ?, source = ?, updated_at = ? \
         WHERE id = ? AND token = ? AND state IN {OPEN}"
    );
    let at = now();
    let values = args![at.saturating_add(c.lease_us), signed(done)?, source, at, &c.id, &c.token];
    if tx.run(&sql, values).await? == 0 {
        return Err(gone());
    }
    let row = tx.one("SELECT state FROM copies WHERE id = ?", args![&c.id]).await?.ok_or_else(gone)?;
    Ok(word(&get::<String>(&row, 0)?)?)
}

async fn publish(tx: &mut Tx, c: &CopyLease, source: Option<&str>, url: &str, events: &[Event]) -> Result<Image, Fail> {
    let at = now();
    let sql = "UPDATE images SET updated_at = ?, version = version + 1 WHERE id = ? AND size = ? AND deleted = 0 \
        AND status IN ('active', 'deactivated')";
    if tx.run(sql, args![at, &c.image_id, signed(c.total)?]).await? == 0 {
        return Err(gone());
    }
    let sql = "UPDATE copies SET state = 'done', done = total, source = ?, error = NULL, lease_until = 0, \
        updated_at = ? WHERE id = ? AND token = ? AND state = 'running'";
    if tx.run(sql, args![source, at, &c.id, &c.token]).await? == 0 {
        return Err(gone());
    }
    let sql = "INSERT INTO image_locations (id, image_id, store, url, created_at) VALUES (?, ?, ?, ?, ?)";
    tx.run(sql, args![Uuid::now_v7().to_string(), &c.image_id, &c.store, url, at]).await?;
    let row = tx.one("SELECT scope, granted FROM copies WHERE id = ?", args![&c.id]).await?.ok_or_else(gone)?;
    let (scope, granted): (Option<String>, i64) = (get(&row, 0)?, get(&row, 1)?);
    tx.run("UPDATE copies SET granted = 0 WHERE id = ?", args![&c.id]).await?;
    if let Some(scope) = scope {
        let settle = Charge::settle(&scope, ledger::SIZE_TOTAL, granted, signed(c.total)?);
        ledger::apply(tx, vec![settle]).await?;
    }
    let after = images::read(tx, &c.image_id).await?;
    outbox::write(tx, events, Some(&after)).await?;
    Ok(after)
}

async fn retry(tx: &mut Tx, c: &CopyLease, done: u64, error: &str, attempts: u32, wait: Duration) -> Result<(), Fail> {
    let at = now();
    let wait = i64::try_from(wait.as_micros()).unwrap_or(i64::MAX >> 1);
    // One that was given up meanwhile does not wait: its bytes are to go.
    // MySQL assigns from left to right: `state` comes last because the others look at it.
    let sql = format!(
        "UPDATE copies SET error = CASE WHEN state = 'cancelling' THEN error ELSE ? END, done = ?, attempts = ?, \
         not_before = CASE WHEN state = ? THEN ? ELSE 0 END, lease_until = 0, updated_at = ?, \
         state = CASE WHEN state = 'running' THEN 'queued' ELSE state END \
         WHERE id = ? AND token = ? AND state IN {OPEN}"
    );
    let until = at.saturating_add(wait);
    let values = args![error, signed(done)?, i64::from(attempts), c.state.as_str(), until, at, &c.id, &c.token];
    if tx.run(&sql, values).await? == 0 {
        return Err(gone());
    }
    Ok(())
}

async fn redirect(tx: &mut Tx, c: &CopyLease, error: &str) -> Result<Option<(String, Vec<String>)>, Fail> {
    let image = lock_image(tx, &c.image_id).await?;
    let mut others = c.others.clone();
    while !others.is_empty() {
        let store = others.remove(0);
        if occupied(tx, &image, &store).await?.is_some() {
            continue;
        }
        let sql = "UPDATE copies SET store = ?, others = ?, done = 0, source = NULL, attempts = 0, error = ?, \
            updated_at = ? WHERE id = ? AND token = ? AND state = 'running'";
        if tx.run(sql, args![&store, others.join(","), error, now(), &c.id, &c.token]).await? == 0 {
            return Err(gone());
        }
        return Ok(Some((store, others)));
    }
    Ok(None)
}

async fn fail(tx: &mut Tx, c: &CopyLease, error: &str, state: CopyState) -> Result<(), Fail> {
    let sql = "UPDATE copies SET state = ?, error = ?, attempts = 0, updated_at = ? \
        WHERE id = ? AND token = ? AND state = 'running'";
    if tx.run(sql, args![state.as_str(), error, now(), &c.id, &c.token]).await? == 0 {
        return Err(gone());
    }
    let back = release(tx, &c.id).await?;
    ledger::apply(tx, back).await
}

async fn end(tx: &mut Tx, c: &CopyLease) -> Result<(), Fail> {
    let sql = "UPDATE copies SET state = CASE WHEN state = 'failing' THEN 'failed' ELSE 'cancelled' END, done = 0, \
        lease_until = 0, updated_at = ? WHERE id = ? AND token = ? AND state IN ('failing', 'cancelling')";
    if tx.run(sql, args![now(), &c.id, &c.token]).await? == 0 {
        return Err(gone());
    }
    Ok(())
}
