//! Copies: images on their way to another store, as a queue that outlives every process.
//!
//! A row is written before the first byte and stays open until the bytes are either published or gone, so that what a
//! dead process left is taken up or removed. While it is open, the store that it names belongs to it for this image: no
//! second copy goes there, and what lies there under the image's name may be discarded.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;
use uuid::Uuid;

use super::{
    Db, images,
    ledger::{self, Charge},
    row::{get, now, signed, time, unsigned, word},
    tx::{Fail, Tx, args, transaction},
};
use crate::{
    authz::Permit,
    error::{Error, Result},
    image::{Image, UnknownWord},
    quota::Limits,
};

mod lease;

pub use lease::CopyLease;

/// Life of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CopyState {
    /// Waits for its turn, or for a store that is down.
    Queued,
    /// Bytes flow.
    Running,
    /// Given up on request; bytes are being removed.
    Cancelling,
    /// Given up; bytes are being removed.
    Failing,
    /// The image has its copy.
    Done,
    /// Given up on request, nothing left.
    Cancelled,
    /// Given up, nothing left.
    Failed,
}

/// A copy, as it is told to the operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// Row id.
    pub id: String,
    /// The image.
    pub image_id: String,
    /// Store that is read, as last seen.
    pub source: Option<String>,
    /// Store that is written.
    pub store: String,
    /// Stores to turn to when that one is full, best first.
    pub others: Vec<String>,
    /// Bytes that lie safe in the store.
    pub done: u64,
    /// Bytes of the image.
    pub total: u64,
    /// Where it stands.
    pub state: CopyState,
    /// What went wrong last.
    pub error: Option<String>,
    /// Gateway that last worked on it.
    pub node: Option<String>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it last got on.
    pub updated_at: Timestamp,
}

/// States in which the store may hold bytes of the copy.
pub(super) const OPEN: &str = "('queued', 'running', 'cancelling', 'failing')";
/// Of a copy that nobody took yet no byte was written.
const GIVE_UP: &str =
    "state = CASE WHEN node = '' THEN 'cancelled' ELSE 'cancelling' END, not_before = 0, updated_at = ?";
const COLUMNS: &str = "id, image_id, source, store, others, done, total, state, error, node, created_at, updated_at";

impl Db {
    /// Puts a copy of `image` into the queue, to the first of `targets` that does not have the image yet; the rest is
    /// kept for the case that it is full. Reserves its bytes.
    ///
    /// # Errors
    /// `Conflict` when the image has no data, or each target has it, gets it, or still has to remove it; `TooLarge`
    /// over the owner's limit; `NotFound` when the image is gone.
    pub async fn begin_copy(&self, p: &Permit, image: &str, targets: &[String], limits: &Limits) -> Result<Transfer> {
        p.covers(image)?;
        transaction!(self, tx => begin(&mut tx, image, targets, limits))
    }

    /// Gives a copy up. Its holder, or whoever comes next, removes the bytes.
    ///
    /// # Errors
    /// `NotFound` when there is none, `Conflict` when it has ended.
    pub async fn cancel_copy(&self, p: &Permit, id: &str) -> Result<Transfer> {
        tracing::info!(copy = id, decision = p.decision(), "copy cancelled");
        transaction!(self, tx => cancel(&mut tx, id))
    }

    /// A copy.
    ///
    /// # Errors
    /// `Unavailable` when the database is.
    pub async fn copy(&self, id: &str) -> Result<Option<Transfer>> {
        let sql = self.text(&format!("SELECT {COLUMNS} FROM copies WHERE id = ?"));
        self.row(sql, args![id]).await?.as_ref().map(transfer).transpose()
    }

    /// Copies, the newest first.
    ///
    /// # Errors
    /// `Unavailable` when the database is.
    pub async fn copies(&self, limit: u32) -> Result<Vec<Transfer>> {
        let sql = self.text(&format!("SELECT {COLUMNS} FROM copies ORDER BY created_at DESC, id DESC LIMIT ?"));
        self.rows(sql, args![i64::from(limit)]).await?.iter().map(transfer).collect()
    }

    /// Forgets copies that ended before `before`.
    ///
    /// # Errors
    /// `Unavailable` when the database is.
    pub async fn prune_copies(&self, p: &Permit, before: Timestamp) -> Result<u64> {
        tracing::debug!(decision = p.decision(), %before, "old copies are forgotten");
        transaction!(self, tx => prune(&mut tx, before.as_microsecond()))
    }
}

async fn prune(tx: &mut Tx, before: i64) -> Result<u64, Fail> {
    let sql = format!("DELETE FROM copies WHERE state NOT IN {OPEN} AND updated_at < ?");
    Ok(tx.run(&sql, args![before]).await?)
}

async fn begin(tx: &mut Tx, id: &str, targets: &[String], limits: &Limits) -> Result<Transfer, Fail> {
    let image = lock_image(tx, id).await?;
    let Some(size) = image.size else {
        return Err(Error::conflict(format!("The size of image {id} is not known")).into());
    };
    let mut free = Vec::new();
    let mut reason = Error::conflict("No store is left to copy to");
    for store in targets {
        match occupied(tx, &image, store).await? {
            None => free.push(store.as_str()),
            Some(why) if free.is_empty() && targets.len() == 1 => reason = why,
            Some(_) => {}
        }
    }
    let Some((store, others)) = free.split_first() else { return Err(reason.into()) };
    let mut granted = 0;
    if let Some(owner) = &image.owner {
        granted = signed(size)?;
        let charge = Charge::reserved(owner, ledger::SIZE_TOTAL, granted).within(limits.size_total);
        ledger::apply(tx, vec![charge]).await?;
    }
    let (copy, at) = (Uuid::now_v7().to_string(), now());
    let sql = "INSERT INTO copies (id, image_id, store, others, done, total, state, attempts, not_before, token, node, \
        boot, lease_us, lease_until, scope, granted, created_at, updated_at) \
        VALUES (?, ?, ?, ?, 0, ?, 'queued', 0, 0, '', '', '', 0, 0, ?, ?, ?, ?)";
    let values = args![&copy, id, *store, others.join(","), signed(size)?, image.owner.as_deref(), granted, at, at];
    tx.run(sql, values).await?;
    read(tx, &copy).await
}

/// Locks an image that has data.
async fn lock_image(tx: &mut Tx, id: &str) -> Result<Image, Fail> {
    let sql =
        "UPDATE images SET version = version WHERE id = ? AND status IN ('active', 'deactivated') AND deleted = 0";
    let held = tx.run(sql, args![id]).await?;
    let image = images::read(tx, id).await?;
    if held == 0 {
        let text = format!("Image {id} is {}: only an active or deactivated one is copied", image.status.as_str());
        return Err(Error::conflict(text).into());
    }
    Ok(image)
}

/// Why no copy of the image can go to the store now.
async fn occupied(tx: &mut Tx, image: &Image, store: &str) -> Result<Option<Error>, Fail> {
    let id = &image.id;
    if image.locations.iter().any(|l| l.store == store) {
        return Ok(Some(Error::conflict(format!("Image {id} has a copy in store {store}"))));
    }
    let open = format!("SELECT COUNT(*) FROM copies WHERE image_id = ? AND store = ? AND state IN {OPEN}");
    if tx.number(&open, args![id, store]).await? > 0 {
        return Ok(Some(Error::conflict(format!("A copy of image {id} to store {store} is under way"))));
    }
    // Another image may have taken an object of this name, which lay there unknown.
    let name = format!("%{id}%");
    let claimed = "SELECT (SELECT COUNT(*) FROM image_locations WHERE store = ? AND url LIKE ?) \
        + (SELECT COUNT(*) FROM uploads WHERE store = ? AND claims LIKE ?)";
    if tx.number(claimed, args![store, &name, store, &name]).await? > 0 {
        return Ok(Some(Error::conflict(format!("Another image has the data in store {store} that are named {id}"))));
    }
    // An object that waits to be removed has the name that the copy would get.
    let noted = "SELECT COUNT(*) FROM deletions WHERE image_id = ? AND store = ?";
    if tx.number(noted, args![id, store]).await? > 0 {
        return Ok(Some(Error::conflict(format!("An earlier copy of image {id} is still being removed from {store}"))));
    }
    Ok(None)
}

/// Whether the object at `url` is that of a copy on its way into the store.
pub(super) async fn is_written(tx: &mut Tx, store: &str, url: &str) -> Result<bool, Fail> {
    let sql = format!("SELECT image_id FROM copies WHERE store = ? AND state IN {OPEN}");
    for row in tx.all(&sql, args![store]).await? {
        if url.contains(&get::<String>(&row, 0)?) {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn cancel(tx: &mut Tx, id: &str) -> Result<Transfer, Fail> {
    let sql = format!("UPDATE copies SET {GIVE_UP}, error = NULL WHERE id = ? AND state IN ('queued', 'running')");
    if tx.run(&sql, args![now(), id]).await? == 0 {
        let there = read(tx, id).await?;
        return match there.state {
            CopyState::Cancelling => Ok(there),
            state => Err(Error::conflict(format!("Copy {id} is {state} already")).into()),
        };
    }
    let back = release(tx, id).await?;
    ledger::apply(tx, back).await?;
    read(tx, id).await
}

/// Gives up all copies of an image that is deleted in this transaction; gives what is to be given back to the ledger.
pub(super) async fn cancel_all(tx: &mut Tx, image: &str) -> Result<Vec<Charge>, Fail> {
    let sql = format!(
        "UPDATE copies SET {GIVE_UP}, error = 'the image was deleted' \
         WHERE image_id = ? AND state IN ('queued', 'running')"
    );
    if tx.run(&sql, args![now(), image]).await? == 0 {
        return Ok(Vec::new());
    }
    let mut back = Vec::new();
    for row in tx.all("SELECT id FROM copies WHERE image_id = ? AND granted > 0", args![image]).await? {
        back.extend(release(tx, &get::<String>(&row, 0)?).await?);
    }
    Ok(back)
}

/// Ends the reservation of a copy whose row is locked.
async fn release(tx: &mut Tx, id: &str) -> Result<Vec<Charge>, Fail> {
    let row = tx.one("SELECT scope, granted FROM copies WHERE id = ?", args![id]).await?.ok_or_else(|| missing(id))?;
    let (scope, granted): (Option<String>, i64) = (get(&row, 0)?, get(&row, 1)?);
    tx.run("UPDATE copies SET granted = 0 WHERE id = ?", args![id]).await?;
    Ok(scope.map(|scope| Charge::reserved(&scope, ledger::SIZE_TOTAL, -granted)).into_iter().collect())
}

async fn read(tx: &mut Tx, id: &str) -> Result<Transfer, Fail> {
    let sql = format!("SELECT {COLUMNS} FROM copies WHERE id = ?");
    let row = tx.one(&sql, args![id]).await?.ok_or_else(|| missing(id))?;
    Ok(transfer(&row)?)
}

fn missing(id: &str) -> Error {
    Error::not_found(format!("There is no copy {}", id.escape_debug()))
}

fn transfer(row: &AnyRow) -> Result<Transfer> {
    Ok(Transfer {
        id: get(row, 0)?,
        image_id: get(row, 1)?,
        source: get(row, 2)?,
        store: get(row, 3)?,
        others: list(&get::<String>(row, 4)?),
        done: unsigned(get(row, 5)?)?,
        total: unsigned(get(row, 6)?)?,
        state: word(&get::<String>(row, 7)?)?,
        error: get(row, 8)?,
        node: Some(get::<String>(row, 9)?).filter(|node| !node.is_empty()),
        created_at: time(get(row, 10)?)?,
        updated_at: time(get(row, 11)?)?,
    })
}

/// Ids of stores have no comma.
fn list(text: &str) -> Vec<String> {
    text.split(',').filter(|id| !id.is_empty()).map(str::to_owned).collect()
}

impl CopyState {
    const ALL: [Self; 7] =
        [Self::Queued, Self::Running, Self::Cancelling, Self::Failing, Self::Done, Self::Cancelled, Self::Failed];

    /// Nothing more will happen.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Cancelled | Self::Failed)
    }

    /// The word of the operator's interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Cancelling => "cancelling",
            Self::Failing => "failing",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for CopyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for CopyState {
    type Err = UnknownWord;
    fn from_str(s: &str) -> Result<Self, UnknownWord> {
        Self::ALL.into_iter().find(|x| x.as_str() == s).ok_or_else(|| UnknownWord(s.into()))
    }
}
