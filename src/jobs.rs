//! Background work: what a kill, a crash or a lost store left behind is put in order here.
//!
//! Each loop is idempotent, bounded per round, and led by rows of the database; several gateways may run them at once.

use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::task::JoinSet;

use crate::{
    app::App,
    authz::Permit,
    db::{Deletion, Upload},
    error::{Error, Result},
    image::Lease,
    notify,
    store::StoreErrorKind,
    telemetry,
};

mod copy;

/// Pause between rounds of the reaper and the collector.
const ROUND: Duration = Duration::from_secs(5);
/// Pause between looks at the stores.
const PROBE: Duration = Duration::from_secs(10);
/// Rows of one round.
const BATCH: u32 = 100;

/// The running loops; they end when this is dropped.
pub struct Running(#[expect(dead_code, reason = "held for its Drop, which ends the loops")] JoinSet<()>);

/// Starts all loops.
pub fn start(app: &Arc<App>) -> Running {
    let mut set = JoinSet::new();
    set.spawn(every(ROUND, app.clone(), |app| async move { reap(&app).await }));
    set.spawn(every(ROUND, app.clone(), |app| async move { collect_all(&app).await }));
    set.spawn(copy::run(app.clone()));
    set.spawn(every(PROBE, app.clone(), |app| async move { app.refresh_stores().await }));
    set.spawn(notify::Sender::new(app.db.clone()).run());
    set.spawn(every(ROUND, app.clone(), |_| async {
        telemetry::upkeep();
        Ok(())
    }));
    let rules = app.rules.clone();
    set.spawn(async move { rules.watch().await });
    Running(set)
}

async fn every<F, Fut>(pause: Duration, app: Arc<App>, round: F)
where
    F: Fn(Arc<App>) -> Fut,
    Fut: Future<Output = Result<()>>,
{
    loop {
        if let Err(error) = round(app.clone()).await {
            tracing::warn!(?error, "a round of background work failed, it is tried again");
        }
        tokio::time::sleep(pause).await;
    }
}

/// Undoes uploads whose process is gone: bytes first, then the row goes back to `queued`. An object that was only to be
/// claimed stays: it was never ours.
///
/// # Errors
/// When the database does not answer; single uploads that cannot be undone are logged and tried again.
pub async fn reap(app: &App) -> Result<()> {
    for upload in app.db.stale_uploads(&app.node, &app.boot).await? {
        match reap_one(app, &upload).await {
            Ok(()) => tracing::info!(image.id = upload.image_id, store = upload.store, "stale upload undone"),
            Err(error) => {
                tracing::warn!(image.id = upload.image_id, store = upload.store, ?error, "stale upload stays for now");
            }
        }
    }
    Ok(())
}

async fn reap_one(app: &App, upload: &Upload) -> Result<()> {
    let permit = Permit::system("reaper");
    if upload.claims.is_some() {
        return app.db.fail_upload(&permit, upload, &[]).await;
    }
    let Some(entry) = app.stores.get(&upload.store) else {
        let text = format!("store `{}` is not configured here, so its bytes cannot be removed", upload.store);
        return Err(Error::unavailable(text, ROUND));
    };
    // Others of the same round may have taken their time: only who still holds the lease may remove.
    app.db.touch_upload(upload).await?;
    let lease = Lease::hold(&app.db, upload);
    tokio::select! {
        discarded = entry.store().discard(&permit, &upload.image_id) => discarded?,
        error = lease.lost() => return Err(error),
    }
    app.db.fail_upload(&permit, upload, &[]).await
}

async fn collect_all(app: &App) -> Result<()> {
    let due = app.db.due_deletions(BATCH).await?;
    collect(app, due).await;
    metrics::gauge!("fanlight_deletions_waiting").set(app.db.waiting_deletions().await? as f64);
    Ok(())
}

/// Removes objects whose rows are gone. What cannot be removed now stays noted and is tried again. Stores do not wait
/// for each other, and one that does not answer is not asked for the rest.
pub async fn collect(app: &App, deletions: Vec<Deletion>) {
    if deletions.is_empty() {
        return;
    }
    let permit = Permit::system("collector");
    let mut stores: BTreeMap<String, Vec<Deletion>> = BTreeMap::new();
    for deletion in deletions {
        stores.entry(deletion.store.clone()).or_default().push(deletion);
    }
    join_all(stores.iter().map(|(store, deletions)| collect_from(app, &permit, store, deletions))).await;
}

async fn collect_from(app: &App, permit: &Permit, store: &str, deletions: &[Deletion]) {
    let Some(entry) = app.stores.get(store) else {
        tracing::warn!(store, objects = deletions.len(), "objects wait in a store that is not configured");
        return;
    };
    for deletion in deletions {
        // The list may be old: once the note is gone, the name is free for a new copy of the image.
        match app.db.is_noted(&deletion.id).await {
            Ok(true) => {}
            Ok(false) => continue,
            Err(error) => {
                tracing::warn!(store, ?error, "objects stay for now");
                return;
            }
        }
        match entry.store().delete(permit, &deletion.url).await {
            Err(error) if error.kind == StoreErrorKind::InUse => {
                tracing::info!(image.id = deletion.image_id, store, %error, "object stays until it is no longer used");
                continue;
            }
            Err(error) if error.kind != StoreErrorKind::NotFound => {
                tracing::warn!(image.id = deletion.image_id, store, ?error, "object stays for now");
                if error.kind == StoreErrorKind::Unavailable {
                    return;
                }
                continue;
            }
            Ok(()) | Err(_) => {}
        }
        if let Err(error) = app.db.deletion_done(permit, &deletion.id).await {
            tracing::warn!(image.id = deletion.image_id, store, ?error, "object is gone, its note stays for now");
        }
    }
}
