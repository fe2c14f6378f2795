//! Change attributes, tags and custom properties.

use std::{sync::Arc, time::Duration};

use super::{
    Image, View,
    change::{self, Change},
    create::check_visibility,
    locations,
    show::{check_version, load},
};
use crate::{
    app::App,
    authz::{self, Action, Resource},
    context::Context,
    error::{Error, Kind, Result},
    notify, protect, quota,
};

/// Times that something is decided anew on a newer row before the client is told of the race.
const RETRIES: u32 = 64;

/// After a lost race: waits a little, up to 32 ms, so that many writers get by each other. `false`: enough tries.
pub(super) async fn again(tries: &mut u32) -> bool {
    *tries += 1;
    let most = 2_u64 << (*tries).min(4);
    tokio::time::sleep(Duration::from_millis(rand::random_range(1..=most))).await;
    *tries <= RETRIES
}

/// Applies a PATCH: all of it or nothing. With `expected`, only to that version of the image.
///
/// # Errors
/// `PreconditionFailed` for another version, `NotFound`, `Forbidden` by policy or property protection, `Conflict` for a property that is not there, `TooLarge`
/// over a quota, `Invalid`.
pub async fn update(
    app: &Arc<App>,
    ctx: &Context,
    id: &str,
    changes: &[Change],
    expected: Option<i64>,
) -> Result<View> {
    let placed = changes.iter().any(|c| matches!(c, Change::Locations(_)));
    if placed && app.config.images.patch_locations {
        return locations::edit(app, ctx, id, changes, expected).await;
    }
    edit(app, ctx, id, expected, |visible| change::apply(visible, changes, &app.config.images)).await
}

/// Adds a tag; adding it again changes nothing.
///
/// # Errors
/// As [`update`].
pub async fn add_tag(app: &App, ctx: &Context, id: &str, tag: &str) -> Result<()> {
    let add = |visible: &Image| {
        let mut new = visible.clone();
        new.tags.insert(tag.to_owned());
        Ok(new)
    };
    edit(app, ctx, id, None, add).await.map(drop)
}

/// Removes a tag.
///
/// # Errors
/// `NotFound` when the image does not have it; else as [`update`].
pub async fn remove_tag(app: &App, ctx: &Context, id: &str, tag: &str) -> Result<()> {
    let remove = |visible: &Image| {
        let mut new = visible.clone();
        if new.tags.remove(tag) { Ok(new) } else { Err(Error::not_found(format!("Tag {tag} not found"))) }
    };
    edit(app, ctx, id, None, remove).await.map(drop)
}

/// Load, authorize, change what the caller can see, protect, check quotas, save; again from the start when another
/// writer was faster, so that no writer undoes what another has just done.
async fn edit(
    app: &App,
    ctx: &Context,
    id: &str,
    expected: Option<i64>,
    change: impl Fn(&Image) -> Result<Image>,
) -> Result<View> {
    let mut tries = 0;
    loop {
        let old = load(app, id).await?;

        // authorize
        let permit = authz::check_image(ctx, Action::ModifyImage, &old)?;
        check_version(&old, expected)?;
        let shown = change(&protect::visible(ctx, old.clone())?)?;
        let new = with_hidden_properties(&old, shown.clone(), ctx)?;
        if new.visibility != old.visibility {
            check_visibility(ctx, &new)?;
        }
        if new.owner != old.owner {
            authz::check(ctx, Action::ChangeOwner, Resource::Image(&old))?;
        }

        // protect
        protect::guard_change(ctx, &old, &new)?;
        if new == old {
            return View::of(app, ctx, old);
        }

        // quota
        quota::check_change(&app.config.quota, &old, &new, &shown)?;

        // commit
        let events = [notify::image_event("image.update", &protect::told(ctx, &new)?)];
        match app.db.save_image(&permit, &new, &events).await {
            Ok(saved) => return View::of(app, ctx, saved),
            Err(e) if e.kind() == Kind::Conflict && again(&mut tries).await => {}
            Err(e) => return Err(e),
        }
    }
}

/// Puts back what the caller could not see, so that their save leaves it as it was (BUG-08). A name that they add but
/// that is there already, hidden, is refused as a creation.
fn with_hidden_properties(old: &Image, mut new: Image, ctx: &Context) -> Result<Image> {
    let readable = protect::readable(ctx, old)?;
    for ((name, value), readable) in old.properties.iter().zip(readable) {
        if !readable {
            if new.properties.contains_key(name) {
                return Err(protect::refusal(ctx, Action::ReadProperty, old, name));
            }
            new.properties.insert(name.clone(), value.clone());
        }
    }
    Ok(new)
}
