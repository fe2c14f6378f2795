//! Copy an image to another store: the operator's request. The work is a job (`jobs::copy`), which outlives processes.

use std::collections::BTreeSet;

use super::{Image, show::load};
use crate::{
    app::App,
    authz::Permit,
    config::StoreState,
    context::{Caller, Context},
    db::Transfer,
    digest::{self, Digests},
    error::{Error, Kind, Result},
    placement, quota,
};

/// Puts a copy of an image into the queue: to `store`, or else to the best of the stores that do not have it yet, as
/// placement ranks them for the project that owns the image.
///
/// # Errors
/// `NotFound` for an image that is not there, `Invalid` for a store that is not configured, `Conflict` when the image
/// has no data or no hash, or the store has it already or takes nothing; `TooLarge` over a quota.
pub async fn copy(app: &App, id: &str, store: Option<&str>) -> Result<Transfer> {
    let image = load(app, id).await?;
    let permit = Permit::system("copy");
    if Seal::of(&image).is_none() {
        return Err(Error::conflict(format!("Image {id} has no hash by which a copy could be verified")));
    }

    // quota
    quota::check_location(&app.config.quota, &image)?;
    let limits = quota::limits(&app.config.quota, image.owner.as_deref());

    // placement
    let targets = match store {
        Some(store) => vec![named(app, store)?],
        None => placed(app, &image)?,
    };

    // commit
    let copy = app.db.begin_copy(&permit, id, &targets, &limits).await?;
    tracing::info!(image.id = id, copy = copy.id, store = copy.store, bytes = copy.total, "copy queued");
    Ok(copy)
}

/// Gives a copy up. What it wrote is removed in the background.
///
/// # Errors
/// `NotFound` when there is none, `Conflict` when it has ended.
pub async fn cancel_copy(app: &App, id: &str) -> Result<Transfer> {
    app.db.cancel_copy(&Permit::system("copy"), id).await
}

/// The operator's own choice needs no policy, but a store that takes data.
fn named(app: &App, store: &str) -> Result<String> {
    let Some(entry) = app.stores.get(store) else {
        return Err(Error::invalid(format!("Store {} is not configured.", store.escape_debug())));
    };
    if entry.state() != StoreState::Up {
        return Err(Error::conflict(format!("Store {store} takes no data now: it is not up.")));
    }
    Ok(store.to_owned())
}

/// Stores without the image, best first. The policies say where data of the owner may lie, so they are asked as for an
/// upload by a member of that project.
fn placed(app: &App, image: &Image) -> Result<Vec<String>> {
    let has = |store: &str| image.locations.iter().any(|l| l.store == store);
    let candidates: Vec<_> = app.stores.iter().filter(|s| !has(s.id())).map(|s| placement::Candidate::of(&s)).collect();
    if candidates.is_empty() {
        return Err(Error::conflict(format!("Every store has a copy of image {}", image.id)));
    }
    let ctx = for_owner(app, image);
    let request = placement::Request { image, size: image.size, explicit: None };
    match placement::plan(&ctx, &request, &candidates) {
        Ok(plan) => Ok(plan.ranked),
        // The operator is not the one who is forbidden: it is the state of policies and image that has no answer.
        Err(e) if e.kind() == Kind::Forbidden => {
            let text =
                "No store without a copy may take data of the project that owns the image; name one with `store`.";
            Err(Error::conflict(text).with_source(e))
        }
        Err(e) => Err(e),
    }
}

/// A copy has no caller; what the policies must be asked all the same is asked for a member of the owner's project.
pub(crate) fn for_owner(app: &App, image: &Image) -> Context {
    let roles: BTreeSet<String> = ["member", "reader"].map(str::to_owned).into();
    Context {
        request_id: format!("copy-{}", image.id),
        caller: Caller { user_id: "copy".into(), project_id: image.owner.clone(), roles, ..Caller::default() },
        rules: app.rules.current(),
        shadow: None,
        journal: app.journal.clone(),
    }
}

/// The hash by which the data of an image is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    /// Name of the hash, one that [`digest::Digester`] knows.
    pub algo: String,
    value: String,
    md5: Option<String>,
}

impl Seal {
    /// The strong hash of the image, or the md5 of one that has no other.
    pub fn of(image: &Image) -> Option<Self> {
        let md5 = image.checksum.clone();
        match (&image.os_hash_algo, &image.os_hash_value, &md5) {
            (Some(algo), Some(value), _) if digest::is_known(algo) => {
                Some(Self { algo: algo.clone(), value: value.clone(), md5 })
            }
            (_, _, Some(sum)) => Some(Self { algo: "md5".into(), value: sum.clone(), md5 }),
            _ => None,
        }
    }

    /// Whether these are the digests of the image's data.
    pub fn holds(&self, digests: &Digests) -> bool {
        let md5 = self.md5.as_ref().is_none_or(|md5| md5.eq_ignore_ascii_case(&digests.md5));
        md5 && self.value.eq_ignore_ascii_case(&digests.value)
    }
}
