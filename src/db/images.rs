//! The image row: read, create, save, change of status, delete.

use super::{
    Db, Deletion, changes, copies, deletions,
    ledger::{self, Charge},
    outbox,
    row::{self, get, now, signed},
    tx::{Fail, Tx, args, is_duplicate, transaction},
};
use crate::{
    authz::Permit,
    error::{Error, Result},
    image::{Image, Status},
    notify::Event,
    quota::Limits,
};

const INSERT: &str = "INSERT INTO images (id, name, status, visibility, owner, protected, os_hidden, checksum, \
    os_hash_algo, os_hash_value, size, virtual_size, container_format, disk_format, min_disk, min_ram, created_at, \
    updated_at, version, deleted) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, 0)";

const SAVE: &str = "UPDATE images SET name = ?, visibility = ?, owner = ?, protected = ?, os_hidden = ?, \
    container_format = ?, disk_format = ?, min_disk = ?, min_ram = ?, updated_at = ?, version = version + 1 \
    WHERE id = ? AND version = ? AND deleted = 0";

const SET_STATUS: &str = "UPDATE images SET status = ?, updated_at = ?, version = version + 1 \
    WHERE id = ? AND status = ? AND deleted = 0";

const DELETE: &str = "UPDATE images SET status = 'deleted', deleted = 1, deleted_at = ?, updated_at = ?, \
    version = version + 1 WHERE id = ? AND version = ? AND deleted = 0";

impl Db {
    /// The image, unless it is deleted: one round trip with its tags, properties, members and locations.
    ///
    /// # Errors
    /// `Unavailable` when the database is.
    pub async fn image(&self, id: &str) -> Result<Option<Image>> {
        if id.contains('\0') {
            return Ok(None);
        }
        let found = self.row(self.inner.image_by_id.clone(), args![id]).await?;
        found.as_ref().map(row::image).transpose()
    }

    /// Makes the row of a new image without data, and charges its owner one image.
    ///
    /// # Errors
    /// `Conflict` when the id is or ever was in use, `TooLarge` when the owner has no room for one more image.
    pub async fn create_image(&self, p: &Permit, image: &Image, limits: &Limits, events: &[Event]) -> Result<Image> {
        p.covers(&image.id)?;
        changes::storable(image)?;
        transaction!(self, tx => create(&mut tx, image, limits, events))
    }

    /// Saves attributes, tags and properties of an image as it was read; never status, locations or members.
    /// A new owner takes over what the image is charged.
    ///
    /// # Errors
    /// `Conflict` when the image changed since it was read, `NotFound` when it is gone.
    pub async fn save_image(&self, p: &Permit, image: &Image, events: &[Event]) -> Result<Image> {
        p.covers(&image.id)?;
        changes::storable(image)?;
        transaction!(self, tx => save(&mut tx, image, events))
    }

    /// Moves the status from that of `image` to `to`.
    ///
    /// # Errors
    /// `Conflict` when the table of transitions does not have it or another request moved the status first.
    pub async fn set_status(&self, p: &Permit, image: &Image, to: Status, events: &[Event]) -> Result<Image> {
        p.covers(&image.id)?;
        if !image.status.may_become(to) || to == Status::Deleted {
            return Err(no_transition(image.status, to));
        }
        transaction!(self, tx => set_status(&mut tx, image, to, events))
    }

    /// Deletes the image as it was read. The row stays, so that the id is never used again; its locations become
    /// deletions, its charge is given back.
    ///
    /// # Errors
    /// `Conflict` when the image changed since it was read, `NotFound` when it is gone.
    pub async fn delete_image(&self, p: &Permit, image: &Image, events: &[Event]) -> Result<Vec<Deletion>> {
        p.covers(&image.id)?;
        transaction!(self, tx => delete(&mut tx, image, events))
    }
}

/// The answer to a move that the table of transitions does not have.
pub(super) fn no_transition(from: Status, to: Status) -> Error {
    Error::conflict(format!("Image status transition from {} to {} is not allowed", from.as_str(), to.as_str()))
}

/// The whole image as the transaction sees it.
pub(super) async fn read(tx: &mut Tx, id: &str) -> Result<Image, Fail> {
    let sql = row::image_by_id(tx.dialect);
    let found = tx.one(&sql, args![id]).await?.ok_or_else(|| missing(id))?;
    Ok(row::image(&found)?)
}

/// The answer for an image that is not there (any more).
pub(super) fn missing(id: &str) -> Error {
    Error::not_found(format!("No image found with ID {id}"))
}

/// Why a compare-and-set found no row: the image is gone, or somebody was faster.
pub(super) async fn lost(tx: &mut Tx, id: &str) -> Fail {
    match tx.number("SELECT COUNT(*) FROM images WHERE id = ? AND deleted = 0", args![id]).await {
        Ok(0) => missing(id).into(),
        Ok(_) => Error::conflict(format!("Image {id} was changed by another request; read it again")).into(),
        Err(e) => e.into(),
    }
}

async fn create(tx: &mut Tx, image: &Image, limits: &Limits, events: &[Event]) -> Result<Image, Fail> {
    let values = args![
        &image.id,
        image.name.as_deref(),
        image.status.as_str(),
        image.visibility.as_str(),
        image.owner.as_deref(),
        image.protected,
        image.os_hidden,
        image.checksum.as_deref(),
        image.os_hash_algo.as_deref(),
        image.os_hash_value.as_deref(),
        image.size.map(signed).transpose()?,
        image.virtual_size.map(signed).transpose()?,
        image.container_format.as_deref(),
        image.disk_format.as_deref(),
        i64::from(image.min_disk),
        i64::from(image.min_ram),
        image.created_at.as_microsecond(),
        image.updated_at.as_microsecond(),
    ];
    tx.run(INSERT, values).await.map_err(|e| {
        if is_duplicate(&e) {
            Fail::Domain(Error::conflict(format!("Image ID {} already exists!", image.id)))
        } else {
            Fail::Sql(e)
        }
    })?;
    changes::insert_tags(tx, &image.id, image.tags.iter()).await?;
    changes::insert_properties(tx, &image.id, image.properties.iter()).await?;
    if let Some(owner) = &image.owner {
        ledger::apply(tx, vec![Charge::in_use(owner, ledger::COUNT_TOTAL, 1).within(limits.count_total)]).await?;
    }
    let made = read(tx, &image.id).await?;
    outbox::write(tx, events, Some(&made)).await?;
    Ok(made)
}

async fn save(tx: &mut Tx, image: &Image, events: &[Event]) -> Result<Image, Fail> {
    let id = image.id.as_str();
    let before = tx.one("SELECT owner FROM images WHERE id = ? AND version = ?", args![id, image.version]).await?;
    let values = args![
        image.name.as_deref(),
        image.visibility.as_str(),
        image.owner.as_deref(),
        image.protected,
        image.os_hidden,
        image.container_format.as_deref(),
        image.disk_format.as_deref(),
        i64::from(image.min_disk),
        i64::from(image.min_ram),
        now(),
        id,
        image.version,
    ];
    // INVARIANT: the update matches only the version that `before` was read at, so the owner is the one it had.
    let (1, Some(before)) = (tx.run(SAVE, values).await?, before) else { return Err(lost(tx, id).await) };
    changes::save_tags(tx, id, &image.tags).await?;
    changes::save_properties(tx, id, &image.properties).await?;
    let before: Option<String> = get(&before, 0)?;
    if before != image.owner {
        ledger::change_owner(tx, id, before.as_deref(), image.owner.as_deref()).await?;
    }
    let saved = read(tx, id).await?;
    outbox::write(tx, events, Some(&saved)).await?;
    Ok(saved)
}

async fn set_status(tx: &mut Tx, image: &Image, to: Status, events: &[Event]) -> Result<Image, Fail> {
    let values = args![to.as_str(), now(), &image.id, image.status.as_str()];
    if tx.run(SET_STATUS, values).await? == 0 {
        return Err(lost(tx, &image.id).await);
    }
    let saved = read(tx, &image.id).await?;
    outbox::write(tx, events, Some(&saved)).await?;
    Ok(saved)
}

async fn delete(tx: &mut Tx, image: &Image, events: &[Event]) -> Result<Vec<Deletion>, Fail> {
    let (id, at) = (image.id.as_str(), now());
    if tx.run(DELETE, args![at, at, id, image.version]).await? == 0 {
        return Err(lost(tx, id).await);
    }
    // INVARIANT: the row is ours from here on, so size, owner and locations cannot change under us.
    let row = tx.one("SELECT owner, size FROM images WHERE id = ?", args![id]).await?.ok_or_else(|| missing(id))?;
    let (owner, size): (Option<String>, Option<i64>) = (get(&row, 0)?, get(&row, 1)?);
    let gone = deletions::take_all(tx, id).await?;
    for sql in [
        "DELETE FROM image_tags WHERE image_id = ?",
        "DELETE FROM image_properties WHERE image_id = ?",
        "DELETE FROM image_members WHERE image_id = ?",
    ] {
        tx.run(sql, args![id]).await?;
    }
    let mut charges = copies::cancel_all(tx, id).await?;
    if let Some(owner) = owner {
        let bytes = size.unwrap_or(0).saturating_mul(i64::try_from(gone.len()).unwrap_or(i64::MAX));
        charges.push(Charge::in_use(&owner, ledger::COUNT_TOTAL, -1));
        charges.push(Charge::in_use(&owner, ledger::SIZE_TOTAL, -bytes));
    }
    ledger::apply(tx, charges).await?;
    outbox::write(tx, events, None).await?;
    Ok(gone)
}
