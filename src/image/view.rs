//! An image on its way to a caller.

use super::Image;
use crate::{
    app::App,
    authz::{self, Action, Resource},
    context::Context,
    error::Result,
    protect,
};

/// An image as one caller may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Without the custom properties that the caller may not read.
    pub image: Image,
    /// The caller may see the URLs of its copies, and the configuration shows any.
    pub urls: bool,
}

impl View {
    /// Policies are asked about the whole image: a rule may speak of a property that the caller does not see.
    ///
    /// # Errors
    /// `Unavailable` when a policy errors: nothing is shown then.
    pub(super) fn of(app: &App, ctx: &Context, image: Image) -> Result<Self> {
        let rules = &app.config.images;
        let urls = (rules.show_direct_url || rules.show_locations)
            && authz::allows(ctx, Action::GetImageLocation, Resource::Image(&image))?;
        Ok(Self { image: protect::visible(ctx, image)?, urls })
    }
}
