//! Objects that are in a store before an image has them: which of them an image may take, and taking one as a further
//! copy of an active image.

use uuid::Uuid;

use super::{
    Db, changes, copies, images,
    ledger::{self, Charge},
    outbox,
    row::{now, signed},
    tx::{Fail, Tx, args, transaction},
};
use crate::{
    authz::Permit,
    error::{Error, Result},
    image::{Image, Status},
    notify::Event,
    quota::Limits,
};

/// Characters of a URL that a client names; the API's own limit.
pub(super) const URL_MAX: usize = 255;

impl Db {
    /// Gives an active image one more copy that is in the store already, and charges its owner for it.
    ///
    /// # Errors
    /// `Conflict` when the image changed since it was read, when an image holds the object, somebody claims it, or it is
    /// to be deleted; `TooLarge` over a limit.
    pub async fn adopt_location(
        &self,
        p: &Permit,
        image: &Image,
        store: &str,
        url: &str,
        limits: &Limits,
        events: &[Event],
    ) -> Result<Image> {
        p.covers(&image.id)?;
        changes::text("url", url, URL_MAX)?;
        transaction!(self, tx => adopt(&mut tx, image, (store, url), limits, events))
    }
}

/// The answer for an object that is not free.
pub(super) fn taken() -> Error {
    Error::conflict("The data at this location belongs to an image already, or is about to be deleted.")
}

/// Refuses an object that an image holds or that is to be deleted, and a second copy in one store.
pub(super) async fn check_free(tx: &mut Tx, image: &str, store: &str, url: &str) -> Result<(), Fail> {
    let held = "SELECT COUNT(*) FROM image_locations WHERE (image_id = ? AND store = ?) OR url = ?";
    let noted = "SELECT COUNT(*) FROM deletions WHERE (image_id = ? AND store = ?) OR url = ?";
    for sql in [held, noted] {
        if tx.number(sql, args![image, store, url]).await? > 0 {
            return Err(taken().into());
        }
    }
    if copies::is_written(tx, store, url).await? {
        return Err(taken().into());
    }
    Ok(())
}

async fn adopt(
    tx: &mut Tx,
    image: &Image,
    (store, url): (&str, &str),
    limits: &Limits,
    events: &[Event],
) -> Result<Image, Fail> {
    let lock = "UPDATE images SET version = version + 1, updated_at = ? \
        WHERE id = ? AND version = ? AND status = ? AND deleted = 0";
    if tx.run(lock, args![now(), &image.id, image.version, Status::Active.as_str()]).await? == 0 {
        return Err(images::lost(tx, &image.id).await);
    }
    if tx.number("SELECT COUNT(*) FROM uploads WHERE claims = ?", args![url]).await? > 0 {
        return Err(taken().into());
    }
    check_free(tx, &image.id, store, url).await?;
    if let (Some(owner), Some(size)) = (&image.owner, image.size) {
        let charge = Charge::in_use(owner, ledger::SIZE_TOTAL, signed(size)?).within(limits.size_total);
        ledger::apply(tx, vec![charge]).await?;
    }
    let sql = "INSERT INTO image_locations (id, image_id, store, url, created_at) VALUES (?, ?, ?, ?, ?)";
    tx.run(sql, args![Uuid::now_v7().to_string(), &image.id, store, url, now()]).await?;
    let after = images::read(tx, &image.id).await?;
    outbox::write(tx, events, Some(&after)).await?;
    Ok(after)
}
