//! The quota ledger: `in_use` and `reserved` of each scope and resource, changed only by guarded statements.
//!
//! Invariants
//! * `in_use + reserved` never grows beyond the limit of the request that makes it grow.
//! * `in_use` is what live images hold, `reserved` what open uploads and copies were granted; [`Db::recount`] proves it.
//! * Rows are locked in the order of (scope, resource). Images of nobody charge nobody.

use std::collections::BTreeMap;

use super::{
    Db,
    row::{get, signed, unsigned},
    tx::{Fail, Tx, args},
};
use crate::error::{Error, Result};

/// Images of a project.
pub(super) const COUNT_TOTAL: &str = "image_count_total";
/// Uploads of a project at this moment.
pub(super) const COUNT_UPLOADING: &str = "image_count_uploading";
/// Bytes of a project, each copy counted.
pub(super) const SIZE_TOTAL: &str = "image_size_total";

/// What a project uses of one resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Held by images.
    pub in_use: u64,
    /// Granted to uploads and copies that run.
    pub reserved: u64,
}

/// A ledger row that does not agree with what it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// Project.
    pub scope: String,
    /// Resource.
    pub resource: String,
    /// What the ledger says.
    pub ledger: Usage,
    /// What images and uploads add up to.
    pub counted: Usage,
}

/// A change of one ledger row.
#[derive(Debug, Clone)]
pub(super) struct Charge {
    scope: String,
    resource: &'static str,
    in_use: i64,
    reserved: i64,
    limit: Option<u64>,
}

impl Charge {
    pub(super) fn in_use(scope: &str, resource: &'static str, units: i64) -> Self {
        Self { scope: scope.to_owned(), resource, in_use: units, reserved: 0, limit: None }
    }

    pub(super) fn reserved(scope: &str, resource: &'static str, units: i64) -> Self {
        Self { scope: scope.to_owned(), resource, in_use: 0, reserved: units, limit: None }
    }

    /// From reserved to in use: `granted` units end, `used` of them stay.
    pub(super) fn settle(scope: &str, resource: &'static str, granted: i64, used: i64) -> Self {
        Self { scope: scope.to_owned(), resource, in_use: used, reserved: -granted, limit: None }
    }

    /// Refused if the row would be over `limit` afterwards.
    pub(super) fn within(self, limit: Option<u64>) -> Self {
        Self { limit, ..self }
    }
}

const CHANGE: &str = "UPDATE quota_usage SET \
    in_use = CASE WHEN in_use + ? < 0 THEN 0 ELSE in_use + ? END, \
    reserved = CASE WHEN reserved + ? < 0 THEN 0 ELSE reserved + ? END \
    WHERE scope = ? AND resource = ? AND in_use + reserved + ? <= ?";

const READ: &str = "SELECT in_use, reserved FROM quota_usage WHERE scope = ? AND resource = ?";

/// Applies all or, by failing the transaction, none.
pub(super) async fn apply(tx: &mut Tx, mut charges: Vec<Charge>) -> Result<(), Fail> {
    charges.sort_by(|a, b| (&a.scope, a.resource).cmp(&(&b.scope, b.resource)));
    for charge in charges.iter().filter(|c| c.in_use != 0 || c.reserved != 0) {
        if change(tx, charge).await? {
            continue;
        }
        // No row matched: it is not there yet, or the limit is reached.
        let sql = tx.dialect.ensure_usage();
        tx.run(sql, args![&charge.scope, charge.resource]).await?;
        if !change(tx, charge).await? {
            let usage = read(tx, &charge.scope, charge.resource).await?;
            return Err(over(charge, usage).into());
        }
    }
    Ok(())
}

async fn change(tx: &mut Tx, c: &Charge) -> Result<bool, Fail> {
    // Only growth is refused: a limit that was lowered below the usage never blocks giving back.
    let grows = c.in_use.saturating_add(c.reserved);
    let most = match c.limit {
        Some(limit) if grows > 0 => i64::try_from(limit).unwrap_or(i64::MAX),
        _ => i64::MAX,
    };
    let values = args![c.in_use, c.in_use, c.reserved, c.reserved, &c.scope, c.resource, grows, most];
    Ok(tx.run(CHANGE, values).await? > 0)
}

async fn read(tx: &mut Tx, scope: &str, resource: &str) -> Result<Usage, Fail> {
    Ok(match tx.one(READ, args![scope, resource]).await? {
        Some(row) => Usage { in_use: unsigned(get(&row, 0)?)?, reserved: unsigned(get(&row, 1)?)? },
        None => Usage::default(),
    })
}

fn over(charge: &Charge, usage: Usage) -> Error {
    let (used, delta) = (usage.in_use + usage.reserved, charge.in_use.saturating_add(charge.reserved));
    let limit = charge.limit.unwrap_or(u64::MAX);
    Error::too_large(format!(
        "Request exceeds the quota: resource {} is over limit of {limit} due to current usage {used} and delta {delta}",
        charge.resource
    ))
}

/// Reserves `needed` bytes or fails, and up to `wish` if there is room to spare. Returns what was reserved.
///
/// Near the limit no upload takes more than a part of what is left, so that others still find some.
pub(super) async fn grant(tx: &mut Tx, scope: &str, needed: u64, wish: u64, limit: Option<u64>) -> Result<u64, Fail> {
    let lock = "UPDATE quota_usage SET reserved = reserved WHERE scope = ? AND resource = ?";
    if tx.run(lock, args![scope, SIZE_TOTAL]).await? == 0 {
        let sql = tx.dialect.ensure_usage();
        tx.run(sql, args![scope, SIZE_TOTAL]).await?;
        tx.run(lock, args![scope, SIZE_TOTAL]).await?;
    }
    // INVARIANT: the row is locked from here on, so the room cannot shrink before the charge.
    let usage = read(tx, scope, SIZE_TOTAL).await?;
    let amount = match limit {
        None => needed.max(wish),
        Some(limit) => {
            let room = limit.saturating_sub(usage.in_use + usage.reserved);
            let spare = room.saturating_sub(needed) / 8;
            needed.max(wish.min(needed.saturating_add(spare)))
        }
    };
    apply(tx, vec![Charge::reserved(scope, SIZE_TOTAL, signed(amount)?).within(limit)]).await?;
    Ok(amount)
}

/// Moves all that an image is charged, and what its running upload and copies have reserved, to another owner.
pub(super) async fn change_owner(tx: &mut Tx, id: &str, from: Option<&str>, to: Option<&str>) -> Result<(), Fail> {
    tx.run("UPDATE uploads SET scope = ? WHERE image_id = ?", args![to, id]).await?;
    tx.run("UPDATE copies SET scope = ? WHERE image_id = ?", args![to, id]).await?;
    let sums = format!("SELECT COUNT(*), {} FROM uploads WHERE image_id = ?", tx.dialect.sum("granted"));
    let (mut uploads, mut granted) = (0, 0);
    if let Some(row) = tx.one(&sums, args![id]).await? {
        (uploads, granted) = (get::<i64>(&row, 0)?, get::<Option<i64>>(&row, 1)?.unwrap_or(0));
    }
    let copying = format!("SELECT COALESCE({}, 0) FROM copies WHERE image_id = ?", tx.dialect.sum("granted"));
    granted = granted.saturating_add(tx.number(&copying, args![id]).await?);
    let size = tx.number("SELECT COALESCE(size, 0) FROM images WHERE id = ?", args![id]).await?;
    let copies = tx.number("SELECT COUNT(*) FROM image_locations WHERE image_id = ?", args![id]).await?;
    let bytes = size.saturating_mul(copies);
    let mut charges = Vec::new();
    for (scope, sign) in [(from, -1), (to, 1)] {
        let Some(scope) = scope else { continue };
        charges.push(Charge::in_use(scope, COUNT_TOTAL, sign));
        charges.push(Charge::reserved(scope, COUNT_UPLOADING, sign * uploads));
        let moved = Charge { in_use: sign * bytes, ..Charge::reserved(scope, SIZE_TOTAL, sign * granted) };
        charges.push(moved);
    }
    apply(tx, charges).await
}

impl Db {
    /// What a project uses, by resource. Resources that were never used are left out.
    ///
    /// # Errors
    /// `Unavailable` when the database is.
    pub async fn usage(&self, project: &str) -> Result<BTreeMap<String, Usage>> {
        let sql = self.text("SELECT resource, in_use, reserved FROM quota_usage WHERE scope = ?");
        let rows = self.rows(sql, args![project]).await?;
        rows.iter()
            .map(|r| Ok((get(r, 0)?, Usage { in_use: unsigned(get(r, 1)?)?, reserved: unsigned(get(r, 2)?)? })))
            .collect()
    }

    /// Compares the ledger with what images and uploads add up to; no rows means they agree.
    ///
    /// # Errors
    /// `Unavailable` when the database is.
    pub async fn recount(&self) -> Result<Vec<Drift>> {
        // One statement is one snapshot, so running uploads cannot make a difference appear.
        let sum = |x: &str| self.inner.dialect.sum(x);
        let sql = format!(
            "SELECT 'ledger', scope, resource, in_use, reserved FROM quota_usage \
             UNION ALL SELECT 'counted', owner, '{COUNT_TOTAL}', COUNT(*), 0 FROM images \
                 WHERE deleted = 0 AND owner IS NOT NULL GROUP BY owner \
             UNION ALL SELECT 'counted', i.owner, '{SIZE_TOTAL}', {}, 0 FROM images i \
                 JOIN image_locations l ON l.image_id = i.id \
                 WHERE i.deleted = 0 AND i.owner IS NOT NULL AND i.size IS NOT NULL GROUP BY i.owner \
             UNION ALL SELECT 'counted', scope, '{SIZE_TOTAL}', 0, {} FROM uploads \
                 WHERE scope IS NOT NULL GROUP BY scope \
             UNION ALL SELECT 'counted', scope, '{SIZE_TOTAL}', 0, {} FROM copies \
                 WHERE scope IS NOT NULL GROUP BY scope \
             UNION ALL SELECT 'counted', scope, '{COUNT_UPLOADING}', 0, COUNT(*) FROM uploads \
                 WHERE scope IS NOT NULL GROUP BY scope",
            sum("i.size"),
            sum("granted"),
            sum("granted"),
        );
        let mut found: BTreeMap<(String, String), (Usage, Usage)> = BTreeMap::new();
        for row in &self.rows(sql, args![]).await? {
            let (ledger, counted) = found.entry((get(row, 1)?, get(row, 2)?)).or_default();
            let side = if get::<String>(row, 0)? == "ledger" { ledger } else { counted };
            side.in_use += unsigned::<u64>(get(row, 3)?)?;
            side.reserved += unsigned::<u64>(get(row, 4)?)?;
        }
        let drifted = found.into_iter().filter(|(_, (ledger, counted))| ledger != counted);
        Ok(drifted.map(|((scope, resource), (ledger, counted))| Drift { scope, resource, ledger, counted }).collect())
    }
}
