//! Delete an image, and one copy of it.
//!
//! The row goes first and leaves a note for each object; the object goes after. Whatever fails in between, the note
//! stays until the object is gone.

use super::{
    Location, Status,
    show::{check_version, load},
    stores::{check_known, known_stores},
    update::again,
};
use crate::{
    app::App,
    authz::{self, Action},
    context::Context,
    error::{Error, Kind, Result},
    jobs, notify, protect,
};

/// Deletes an image in whatever state it is, and its data. With `expected`, only that version of it.
///
/// # Errors
/// `PreconditionFailed` for another version, `NotFound`, `Forbidden` by policy or because the image is protected; nothing has changed then.
pub async fn delete(app: &App, ctx: &Context, id: &str, expected: Option<i64>) -> Result<()> {
    let mut tries = 0;
    let deletions = loop {
        let image = load(app, id).await?;

        // authorize
        let permit = authz::check_image(ctx, Action::DeleteImage, &image)?;
        check_version(&image, expected)?;
        if image.protected {
            return Err(Error::forbidden(format!("Image {id} is protected and cannot be deleted.")));
        }

        // commit; what was decided holds for the row as it was read, so a changed row is decided on anew
        let events = [notify::image_deleted(&protect::told(ctx, &image)?)];
        match app.db.delete_image(&permit, &image, &events).await {
            Err(e) if e.kind() == Kind::Conflict && again(&mut tries).await => {}
            other => break other?,
        }
    };

    // store
    jobs::collect(app, &deletions).await;
    Ok(())
}

/// Where the data of an image lies, of the stores that the caller may know of.
///
/// # Errors
/// `NotFound`, `Forbidden` by policy.
pub async fn locations(app: &App, ctx: &Context, id: &str) -> Result<Vec<Location>> {
    let image = load(app, id).await?;
    authz::check_image(ctx, Action::FetchImageLocation, &image)?;
    let known = known_stores(app, ctx)?;
    Ok(image.locations.into_iter().filter(|l| known.contains(&l.store)).collect())
}

/// Removes the copy of an image in one store; never the last copy.
///
/// # Errors
/// `NotFound` for an unknown image or store, `Forbidden` by policy or for the last copy, `Conflict` when the image is
/// not active.
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

    // commit
    let events = [notify::image_event("image.update", &protect::told(ctx, &image)?)];
    let deletion = app.db.remove_location(&permit, &image, &location.id, &events).await?;

    // store
    jobs::collect(app, &[deletion]).await;
    Ok(())
}
