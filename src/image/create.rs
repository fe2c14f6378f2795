//! Create an image row: no data yet.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use uuid::Uuid;

use super::{Image, Status, View, Visibility};
use crate::{
    app::App,
    authz::{self, Action, Resource},
    context::Context,
    error::Result,
    notify, protect, quota,
};

/// What a client may say of a new image. Everything has been checked for form.
#[derive(Debug, Clone, Default)]
pub struct NewImage {
    /// Asked for by the client; drawn here if not.
    pub id: Option<String>,
    /// Not unique.
    pub name: Option<String>,
    /// `shared` if not given.
    pub visibility: Option<Visibility>,
    /// Refuses deletion.
    pub protected: bool,
    /// Left out of lists.
    pub os_hidden: bool,
    /// The caller's project if not given.
    pub owner: Option<String>,
    /// As in the API.
    pub container_format: Option<String>,
    /// As in the API.
    pub disk_format: Option<String>,
    /// GB.
    pub min_disk: u32,
    /// MB.
    pub min_ram: u32,
    /// Tags.
    pub tags: BTreeSet<String>,
    /// Custom properties.
    pub properties: BTreeMap<String, String>,
}

impl NewImage {
    /// The queued image that this would make for a caller in `project`.
    pub(crate) fn into_image(self, project: Option<&str>, now: Timestamp) -> Image {
        Image {
            id: self.id.unwrap_or_else(|| Uuid::new_v4().to_string()),
            name: self.name,
            status: Status::Queued,
            visibility: self.visibility.unwrap_or(Visibility::Shared),
            owner: self.owner.or_else(|| project.map(str::to_owned)),
            protected: self.protected,
            os_hidden: self.os_hidden,
            checksum: None,
            os_hash_algo: None,
            os_hash_value: None,
            size: None,
            virtual_size: None,
            container_format: self.container_format,
            disk_format: self.disk_format,
            min_disk: self.min_disk,
            min_ram: self.min_ram,
            tags: self.tags,
            properties: self.properties,
            members: Vec::new(),
            locations: Vec::new(),
            created_at: now,
            updated_at: now,
            version: 0,
        }
    }
}

/// Creates a queued image.
///
/// # Errors
/// `Forbidden` by policy, `Conflict` when the id was ever used, `TooLarge` over a quota.
pub async fn create(app: &App, ctx: &Context, new: NewImage) -> Result<View> {
    let image = new.into_image(ctx.project(), Timestamp::now());

    // authorize
    let permit = authz::check(ctx, Action::AddImage, Resource::Image(&image))?;
    check_visibility(ctx, &image)?;

    // protect
    protect::guard_create(ctx, &image)?;

    // quota
    quota::check_new(&app.config.quota, &image)?;
    let limits = quota::limits(&app.config.quota, image.owner.as_deref());

    // commit
    let events = [notify::image_event("image.create", &protect::told(ctx, &image)?)];
    let image = app.db.create_image(&permit, &image, &limits, &events).await?;
    View::of(app, ctx, image)
}

/// The wider visibilities have actions of their own; setting `shared` or `private` has none.
pub(super) fn check_visibility(ctx: &Context, image: &Image) -> Result<()> {
    let action = match image.visibility {
        Visibility::Public => Action::PublicizeImage,
        Visibility::Community => Action::CommunitizeImage,
        Visibility::Shared | Visibility::Private => return Ok(()),
    };
    authz::check(ctx, action, Resource::Image(image)).map(drop)
}
