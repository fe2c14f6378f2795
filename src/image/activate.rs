//! Take an image out of use and bring it back.

use super::{Status, show::load};
use crate::{
    app::App,
    authz::{self, Action},
    context::Context,
    error::{Error, Kind, Result},
    notify, protect,
};

/// Takes an active image out of use; doing it again changes nothing.
///
/// # Errors
/// `NotFound`, `Forbidden` by policy or from another state.
pub async fn deactivate(app: &App, ctx: &Context, id: &str) -> Result<()> {
    switch(app, ctx, id, Action::Deactivate, Status::Deactivated).await
}

/// Brings a deactivated image back; doing it again changes nothing.
///
/// # Errors
/// As [`deactivate`].
pub async fn reactivate(app: &App, ctx: &Context, id: &str) -> Result<()> {
    switch(app, ctx, id, Action::Reactivate, Status::Active).await
}

async fn switch(app: &App, ctx: &Context, id: &str, action: Action, to: Status) -> Result<()> {
    let image = load(app, id).await?;
    let permit = authz::check_image(ctx, action, &image)?;
    match image.status {
        from if from == to => return Ok(()),
        Status::Active | Status::Deactivated => {}
        from => {
            let text = format!("Not allowed to {action} image in status '{}'", from.as_str());
            return Err(Error::new(Kind::Forbidden, text));
        }
    }
    let mut after = image.clone();
    after.status = to;
    let events = [notify::image_event("image.update", &protect::told(ctx, &after)?)];
    app.db.set_status(&permit, &image, to, &events).await.map(drop)
}
