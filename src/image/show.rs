//! Show one image, and the load that every other use case begins with.

use super::{Image, View};
use crate::{
    app::App,
    authz::{self, Action},
    context::Context,
    error::{Error, Kind, Result},
};

/// One image, as this caller may see it.
///
/// # Errors
/// `NotFound` for an unknown image and for one that the caller may not see.
pub async fn show(app: &App, ctx: &Context, id: &str) -> Result<View> {
    let image = load(app, id).await?;
    authz::check_image(ctx, Action::GetImage, &image)?;
    View::of(app, ctx, image)
}

/// The row, for the gate to look at: nothing of it goes to the caller before the gate has spoken.
pub(super) async fn load(app: &App, id: &str) -> Result<Image> {
    app.db.image(id).await?.ok_or_else(|| unknown(id))
}

/// The text for images that are not there and for images that stay hidden: it must be the same.
pub(super) fn unknown(id: &str) -> Error {
    Error::not_found(format!("No image found with ID {id}"))
}

/// Refuses another version than the one that the client expects.
pub(super) fn check_version(image: &Image, expected: Option<i64>) -> Result<()> {
    match expected {
        Some(version) if version != image.version => {
            Err(Error::new(Kind::PreconditionFailed, "The image is not what the If-Match header says."))
        }
        _ => Ok(()),
    }
}
