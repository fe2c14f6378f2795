//! Delete an image, and one copy of it.
//!
//! The row goes first and leaves a note for each object; the object goes after. Whatever fails in between, the note
//! stays until the object is gone.

use std::{collections::BTreeSet, time::Duration};

use futures_util::future::join_all;

use super::{
    Location, Status,
    show::{check_version, load},
    stores::check_known,
    update::again,
};
use crate::{
    app::App,
    authz::{self, Action},
    context::Context,
    error::{Error, Kind, Result},
    jobs, notify, protect,
    store::{StoreError, StoreErrorKind},
};

/// A store that takes longer to say whether an object is in use is not waited for.
const IN_USE_DEADLINE: Duration = Duration::from_secs(10);

/// Deletes an image in whatever state it is, and its data. With `expected`, only that version of it.
///
/// # Errors
/// `PreconditionFailed` for another version, `NotFound`, `Forbidden` by policy or because the image is protected,
/// `Conflict` while a clone needs its data; nothing has changed then.
pub async fn delete(app: &App, ctx: &Context, id: &str, expected: Option<i64>) -> Result<()> {
    let mut tries = 0;
    let (deletions, silent) = loop {
        let image = load(app, id).await?;

        // authorize
        let permit = authz::check_image(ctx, Action::DeleteImage, &image)?;
        check_version(&image, expected)?;
        if image.protected {
            return Err(Error::forbidden(format!("Image {id} is protected and cannot be deleted.")));
        }

        // store: a clone needs the bytes of its image
        let text = format!("Image {id} could not be deleted because it is in use.");
        let silent = unless_in_use(app, &image.locations, &text).await?;

        // commit; what was decided holds for the row as it was read, so a changed row is decided on anew
        let events = [notify::image_deleted(&protect::told(ctx, &image)?)];
        match app.db.delete_image(&permit, &image, &events).await {
            Err(e) if e.kind() == Kind::Conflict && again(&mut tries).await => {}
            other => break (other?, silent),
        }
    };

    // store
    jobs::collect(app, deletions.into_iter().filter(|d| !silent.contains(&d.store)).collect()).await;
    Ok(())
}

/// Refuses with `text` when a clone outside of this service keeps one of these objects from being removed. A store that
/// does not say so in time holds up nobody: its object stays noted, and readable to clones, until it can be removed.
/// Returns the stores that did not answer.
pub(super) async fn unless_in_use(app: &App, copies: &[Location], text: &str) -> Result<BTreeSet<String>> {
    let asked = copies.iter().map(|copy| async move {
        let Some(entry) = app.stores.get(&copy.store) else { return (copy, None) };
        let answer = tokio::time::timeout(IN_USE_DEADLINE, entry.store().in_use(&copy.url)).await;
        let answer = answer.unwrap_or_else(|_| {
            Err(StoreError::temporary(StoreErrorKind::Unavailable, "no answer whether the object is in use"))
        });
        (copy, Some(answer))
    });
    let mut silent = BTreeSet::new();
    for (copy, answer) in join_all(asked).await {
        match answer {
            Some(Ok(true)) => return Err(Error::conflict(text)),
            Some(Err(error)) if error.kind != StoreErrorKind::NotFound => {
                tracing::warn!(store = copy.store, %error, "not known whether the object is in use, going on");
                silent.insert(copy.store.clone());
            }
            None | Some(_) => {}
        }
    }
    Ok(silent)
}

/// Removes the copy of an image in one store; never the last copy.
///
/// # Errors
/// `NotFound` for an unknown image or store, `Forbidden` by policy or for the last copy, `Conflict` when the image is
/// not active or a clone needs the copy.
pub async fn remove_copy(app: &App, ctx: &Context, store: &str, id: &str) -> Result<()> {
    let image = load(app, id).await?;

    // authorize
    authz::check_image(ctx, Action::GetImageLocation, &image)?;
    let permit = authz::check_image(ctx, Action::DeleteImageLocation, &image)?;
    check_known(app, ctx, store, Kind::NotFound)?;
    if image.status != Status::Active {
        return Err(Error::conflict(format!("Image {id} is not active.")));
    }
    if image.locations.len() == 1 {
        return Err(Error::forbidden("Cannot delete the last copy of the image."));
    }
    let Some(location) = image.locations.iter().find(|l| l.store == store) else {
        return Err(Error::not_found(format!("Image {id} is not stored on store {store}.")));
    };

    // store
    let text = format!("The data for Image {id} could not be deleted because it is in use.");
    let silent = unless_in_use(app, std::slice::from_ref(location), &text).await?;

    // commit
    let events = [notify::image_event("image.update", &protect::told(ctx, &image)?)];
    let deletion = app.db.remove_location(&permit, &image, &location.id, &events).await?;

    // store
    if silent.is_empty() {
        jobs::collect(app, vec![deletion]).await;
    }
    Ok(())
}
