//! Uploads: a lease on an image that is being written, and the bytes reserved for it.
//!
//! The lease row is written before the first byte and removed after the last one is either published or deleted, so
//! that whatever dies in between is found and cleaned. Its token fences: who takes over a stale upload changes the token, and
//! from then on every call of the old holder ends in `Gone`.
//!
//! A claim is an upload that writes nothing: the bytes are in the store already, and whoever cleans up leaves them there.

use std::time::Duration;

use uuid::Uuid;

use super::{
    Db, changes, claims, images,
    ledger::{self, Charge},
    outbox,
    row::{get, now, signed, unsigned},
    tx::{Fail, Tx, args, is_duplicate, transaction},
};
use crate::{
    authz::Permit,
    error::{Error, Kind, Result},
    image::{Image, Status},
    notify::Event,
    quota::Limits,
};

/// Smallest and largest step by which an upload of unknown length is granted room.
const STEP: (u64, u64) = (64 << 20, 1 << 30);

/// What an upload begins with.
#[derive(Debug, Clone)]
pub struct BeginUpload {
    /// Store id.
    pub store: String,
    /// Bytes, if the client said.
    pub declared: Option<u64>,
    /// Limits of the image's owner.
    pub limits: Limits,
    /// This gateway.
    pub node: String,
    /// This run of the gateway.
    pub boot: String,
    /// Time without a sign of life after which others may clean up.
    pub lease: Duration,
}

/// A running upload, as its holder knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Row id; the same as long as the upload lives.
    pub id: String,
    /// The image.
    pub image_id: String,
    /// Store id.
    pub store: String,
    /// The gateway that holds it.
    pub node: String,
    /// The run of that gateway.
    pub boot: String,
    /// Bytes that may be stored before more has to be asked for.
    pub granted: u64,
    /// URL of the object that is read and not written: it is the caller's until it is published, and is left alone.
    pub claims: Option<String>,
    token: String,
    lease_us: i64,
    size_total: Option<u64>,
}

/// What was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Where in the store.
    pub url: String,
    /// Bytes stored.
    pub size: u64,
    /// Bytes that a guest sees.
    pub virtual_size: Option<u64>,
    /// md5, hex.
    pub checksum: String,
    /// Name of the second hash.
    pub os_hash_algo: String,
    /// Second hash, hex.
    pub os_hash_value: String,
}

impl Upload {
    /// Time without a sign of life after which others may clean up.
    pub fn lease(&self) -> Duration {
        Duration::from_micros(self.lease_us.unsigned_abs())
    }
}

impl Db {
    /// Moves a queued image to `saving`, reserves room (all of a declared length, else a first grant) and takes the lease.
    ///
    /// # Errors
    /// `Conflict` when the image is no longer as it was given (what was decided on it may not hold any more), is not queued,
    /// or an upload is still being cleaned up; `TooLarge` over a limit.
    pub async fn begin_upload(&self, p: &Permit, image: &Image, b: BeginUpload) -> Result<Upload> {
        p.covers(&image.id)?;
        transaction!(self, tx => begin(&mut tx, image, &b, None))
    }

    /// As [`Db::begin_upload`], but for an object that is in the store already, at `url`: the image moves to `importing`.
    ///
    /// # Errors
    /// As [`Db::begin_upload`]; `Conflict` when an image holds the object, somebody claims it, or it is to be deleted.
    pub async fn begin_claim(&self, p: &Permit, image: &Image, b: BeginUpload, url: &str) -> Result<Upload> {
        p.covers(&image.id)?;
        changes::text("url", url, claims::URL_MAX)?;
        transaction!(self, tx => begin(&mut tx, image, &b, Some(url)))
    }

    /// Makes sure that `bytes` in total may be stored, before they are. Asks the database only when the grant is used up.
    ///
    /// # Errors
    /// `TooLarge` when the quota is out, `Gone` when the lease is no longer ours.
    pub async fn grow_upload(&self, u: &mut Upload, bytes: u64) -> Result<()> {
        if bytes <= u.granted {
            return Ok(());
        }
        let granted = transaction!(self, tx => grow(&mut tx, u, bytes))?;
        u.granted = granted;
        Ok(())
    }

    /// A sign of life.
    ///
    /// # Errors
    /// `Gone` when the lease is no longer ours.
    pub async fn touch_upload(&self, u: &Upload) -> Result<()> {
        transaction!(self, tx => extend(&mut tx, u))
    }

    /// Turns to another store, before bytes flow.
    ///
    /// # Errors
    /// `Gone` when the lease is no longer ours.
    pub async fn move_upload(&self, u: &mut Upload, store: &str) -> Result<()> {
        transaction!(self, tx => redirect(&mut tx, u, store))?;
        store.clone_into(&mut u.store);
        Ok(())
    }

    /// Makes the image active with what was stored, all in one transaction: status, location, reservation, events.
    ///
    /// # Errors
    /// `Gone` when the image vanished or the lease is no longer ours: the bytes are to be deleted.
    pub async fn publish_upload(&self, p: &Permit, u: &Upload, done: &Published, events: &[Event]) -> Result<Image> {
        p.covers(&u.image_id)?;
        if done.size > u.granted {
            return Err(Error::internal(format!("{} bytes stored of {} granted", done.size, u.granted)));
        }
        transaction!(self, tx => publish(&mut tx, u, done, events))
    }

    /// Ends an upload whose bytes are gone: the image is queued again, the reservation given back. Doing it twice, or
    /// without holding the lease, changes nothing.
    ///
    /// # Errors
    /// `Unavailable` when the database is.
    pub async fn fail_upload(&self, p: &Permit, u: &Upload, events: &[Event]) -> Result<()> {
        p.covers(&u.image_id)?;
        match transaction!(self, tx => fail(&mut tx, u, events)) {
            Err(e) if e.kind() == Kind::Gone => Ok(()),
            other => other,
        }
    }

    /// Takes over uploads whose lease is over, or that an earlier run of this gateway left. Their former holders are
    /// fenced; the caller deletes the bytes and then calls [`Db::fail_upload`].
    ///
    /// # Errors
    /// `Unavailable` when the database is.
    pub async fn stale_uploads(&self, node: &str, boot: &str) -> Result<Vec<Upload>> {
        let at = now();
        let found = self.rows(self.text(STALE), args![at, node, boot]).await?;
        let mut taken = Vec::new();
        for row in &found {
            let id: String = get(row, 0)?;
            if let Some(upload) = transaction!(self, tx => take_over(&mut tx, &id, node, boot, at))? {
                taken.push(upload);
            }
        }
        Ok(taken)
    }
}

const STALE: &str = "SELECT id FROM uploads WHERE lease_until < ? OR (node = ? AND boot <> ?) ORDER BY id LIMIT 100";

fn gone() -> Fail {
    Error::new(Kind::Gone, "The image was deleted or its upload given up while data arrived").into()
}

/// The status of an image while it is written, or while an object is read that it claims.
fn busy(claims: Option<&str>) -> Status {
    if claims.is_some() { Status::Importing } else { Status::Saving }
}

async fn begin(tx: &mut Tx, image: &Image, b: &BeginUpload, claims: Option<&str>) -> Result<Upload, Fail> {
    let busy = busy(claims);
    let to_busy = "UPDATE images SET status = ?, updated_at = ?, version = version + 1 \
        WHERE id = ? AND status = 'queued' AND version = ? AND deleted = 0";
    if tx.run(to_busy, args![busy.as_str(), now(), &image.id, image.version]).await? == 0 {
        let status = images::read(tx, &image.id).await?.status;
        return Err(if status == Status::Queued {
            Error::conflict(format!("Image {} was changed meanwhile", image.id)).into()
        } else {
            images::no_transition(status, busy).into()
        });
    }
    if tx.number("SELECT COUNT(*) FROM uploads WHERE image_id = ?", args![&image.id]).await? > 0 {
        return Err(Error::conflict(format!("An earlier upload of image {} is still being removed", image.id)).into());
    }
    let owner = image.owner.as_deref();
    let mut upload = Upload {
        id: Uuid::now_v7().to_string(),
        image_id: image.id.clone(),
        store: b.store.clone(),
        node: b.node.clone(),
        boot: b.boot.clone(),
        granted: i64::MAX.unsigned_abs(),
        claims: claims.map(str::to_owned),
        token: Uuid::new_v4().to_string(),
        lease_us: i64::try_from(b.lease.as_micros()).unwrap_or(i64::MAX >> 1),
        size_total: b.limits.size_total,
    };
    let mut reserved = 0;
    if let Some(owner) = owner {
        // INVARIANT: image_count_uploading sorts before image_size_total, so the ledger's order is kept.
        let one = Charge::reserved(owner, ledger::COUNT_UPLOADING, 1).within(b.limits.count_uploading);
        ledger::apply(tx, vec![one]).await?;
        let (needed, wish) = b.declared.map_or((0, STEP.0), |bytes| (bytes, bytes));
        upload.granted = ledger::grant(tx, owner, needed, wish, b.limits.size_total).await?;
        reserved = signed(upload.granted)?;
    }
    insert(tx, &upload, owner, reserved).await?;
    if let Some(url) = claims {
        // INVARIANT: the claim is in the table by now and unique, so nobody else gets past this with the same URL.
        claims::check_free(tx, &image.id, &b.store, url).await?;
    }
    Ok(upload)
}

async fn insert(tx: &mut Tx, u: &Upload, owner: Option<&str>, reserved: i64) -> Result<(), Fail> {
    changes::text("node", &u.node, 255)?;
    let sql = "INSERT INTO uploads (id, image_id, token, scope, store, node, boot, granted, claims, lease_us, \
        lease_until) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let values = args![
        &u.id,
        &u.image_id,
        &u.token,
        owner,
        &u.store,
        &u.node,
        &u.boot,
        reserved,
        u.claims.as_deref(),
        u.lease_us,
        now().saturating_add(u.lease_us),
    ];
    tx.run(sql, values)
        .await
        .map(drop)
        .map_err(|e| if is_duplicate(&e) { claims::taken().into() } else { Fail::Sql(e) })
}

/// Extends the lease, and with it locks the row: nobody takes it over while the transaction runs.
async fn extend(tx: &mut Tx, u: &Upload) -> Result<(), Fail> {
    let sql = "UPDATE uploads SET lease_until = ? WHERE id = ? AND token = ?";
    if tx.run(sql, args![now().saturating_add(u.lease_us), &u.id, &u.token]).await? == 0 {
        return Err(gone());
    }
    Ok(())
}

/// Whom the upload is charged to, and how much; after [`extend`].
async fn charged(tx: &mut Tx, u: &Upload) -> Result<(Option<String>, i64), Fail> {
    let row = tx.one("SELECT scope, granted FROM uploads WHERE id = ?", args![&u.id]).await?.ok_or_else(gone)?;
    Ok((get(&row, 0)?, get(&row, 1)?))
}

async fn grow(tx: &mut Tx, u: &Upload, bytes: u64) -> Result<u64, Fail> {
    extend(tx, u).await?;
    let (scope, reserved) = charged(tx, u).await?;
    let Some(scope) = scope else { return Ok(i64::MAX.unsigned_abs()) };
    let reserved: u64 = unsigned(reserved)?;
    let needed = bytes.saturating_sub(reserved);
    let more = ledger::grant(tx, &scope, needed, reserved.clamp(STEP.0, STEP.1), u.size_total).await?;
    let total = reserved.saturating_add(more);
    tx.run("UPDATE uploads SET granted = ? WHERE id = ?", args![signed(total)?, &u.id]).await?;
    Ok(total)
}

async fn redirect(tx: &mut Tx, u: &Upload, store: &str) -> Result<(), Fail> {
    extend(tx, u).await?;
    tx.run("UPDATE uploads SET store = ? WHERE id = ?", args![store, &u.id]).await?;
    Ok(())
}

async fn publish(tx: &mut Tx, u: &Upload, done: &Published, events: &[Event]) -> Result<Image, Fail> {
    let (at, size) = (now(), signed(done.size)?);
    let sql = "UPDATE images SET status = 'active', size = ?, virtual_size = ?, checksum = ?, os_hash_algo = ?, \
        os_hash_value = ?, updated_at = ?, version = version + 1 WHERE id = ? AND status = ? AND deleted = 0";
    let values = args![
        size,
        done.virtual_size.map(signed).transpose()?,
        &done.checksum,
        &done.os_hash_algo,
        &done.os_hash_value,
        at,
        &u.image_id,
        busy(u.claims.as_deref()).as_str(),
    ];
    if tx.run(sql, values).await? == 0 {
        return Err(gone());
    }
    extend(tx, u).await?;
    let (scope, reserved) = charged(tx, u).await?;
    let sql = "INSERT INTO image_locations (id, image_id, store, url, created_at) VALUES (?, ?, ?, ?, ?)";
    tx.run(sql, args![Uuid::now_v7().to_string(), &u.image_id, &u.store, &done.url, at]).await?;
    tx.run("DELETE FROM uploads WHERE id = ?", args![&u.id]).await?;
    if let Some(scope) = scope {
        let charges = vec![
            Charge::reserved(&scope, ledger::COUNT_UPLOADING, -1),
            Charge::settle(&scope, ledger::SIZE_TOTAL, reserved, size),
        ];
        ledger::apply(tx, charges).await?;
    }
    let active = images::read(tx, &u.image_id).await?;
    outbox::write(tx, events, Some(&active)).await?;
    Ok(active)
}

async fn fail(tx: &mut Tx, u: &Upload, events: &[Event]) -> Result<(), Fail> {
    let sql = "UPDATE images SET status = 'queued', updated_at = ?, version = version + 1 \
        WHERE id = ? AND status = ? AND deleted = 0 \
        AND EXISTS (SELECT 1 FROM uploads u WHERE u.id = ? AND u.token = ?)";
    let busy = busy(u.claims.as_deref());
    tx.run(sql, args![now(), &u.image_id, busy.as_str(), &u.id, &u.token]).await?;
    extend(tx, u).await?;
    let (scope, reserved) = charged(tx, u).await?;
    tx.run("DELETE FROM uploads WHERE id = ?", args![&u.id]).await?;
    if let Some(scope) = scope {
        let charges = vec![
            Charge::reserved(&scope, ledger::COUNT_UPLOADING, -1),
            Charge::reserved(&scope, ledger::SIZE_TOTAL, -reserved),
        ];
        ledger::apply(tx, charges).await?;
    }
    outbox::write(tx, events, None).await
}

async fn take_over(tx: &mut Tx, id: &str, node: &str, boot: &str, at: i64) -> Result<Option<Upload>, Fail> {
    let token = Uuid::new_v4().to_string();
    let sql = "UPDATE uploads SET token = ?, lease_until = ? + lease_us, node = ?, boot = ? \
        WHERE id = ? AND (lease_until < ? OR (node = ? AND boot <> ?))";
    if tx.run(sql, args![&token, at, node, boot, id, at, node, boot]).await? == 0 {
        return Ok(None);
    }
    let sql = "SELECT image_id, store, granted, lease_us, claims FROM uploads WHERE id = ?";
    let row = tx.one(sql, args![id]).await?.ok_or_else(gone)?;
    Ok(Some(Upload {
        id: id.to_owned(),
        image_id: get(&row, 0)?,
        store: get(&row, 1)?,
        node: node.to_owned(),
        boot: boot.to_owned(),
        granted: unsigned(get(&row, 2)?)?,
        claims: get(&row, 4)?,
        token,
        lease_us: get(&row, 3)?,
        // Whoever takes over only cleans up.
        size_total: Some(0),
    }))
}
