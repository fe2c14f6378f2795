//! Where the data of an image lies, and the old PATCH of it, behind a switch (`images.patch_locations`).

use std::sync::Arc;

use super::{
    Image, Location, NewLocation, Status, View,
    change::{Change, LocationEdit, Position},
    claim::{changed, check_service, claim, find, open},
    delete::unless_in_use,
    show::{check_version, load},
    stores::known_stores,
    update::again,
    verify::read_all,
};
use crate::{
    app::App,
    authz::{self, Action},
    context::Context,
    digest::Digests,
    error::{Error, Kind, Result},
    jobs, notify, protect, quota,
    store::Entry,
};

/// The locations of an image in stores that the caller may know of.
///
/// # Errors
/// `NotFound`, `Forbidden` by policy.
pub async fn locations(app: &App, ctx: &Context, id: &str) -> Result<Vec<Location>> {
    let image = load(app, id).await?;
    authz::check_image(ctx, Action::FetchImageLocation, &image)?;
    shown(app, ctx, &image)
}

fn shown(app: &App, ctx: &Context, image: &Image) -> Result<Vec<Location>> {
    let known = known_stores(app, ctx)?;
    Ok(image.locations.iter().filter(|l| known.contains(&l.store)).cloned().collect())
}

/// Applies a PATCH that is about locations and nothing else: one addition, one replacement, or removals.
///
/// # Errors
/// `NotFound`, `Forbidden` by policy, for another image's data and for the last location, `Conflict` in a wrong state,
/// `Invalid`, `TooLarge`, `Unavailable`.
pub(super) async fn edit(
    app: &Arc<App>,
    ctx: &Context,
    id: &str,
    changes: &[Change],
    expected: Option<i64>,
) -> Result<View> {
    let mixed = || Error::invalid("Locations are added one at a time, or removed, by a request about nothing else.");
    let edits = changes.iter().map(|c| if let Change::Locations(e) = c { Some(e) } else { None });
    let edits: Vec<_> = edits.collect::<Option<_>>().ok_or_else(mixed)?;
    let after = match edits.as_slice() {
        [LocationEdit::Add(position, new)] => add(app, ctx, id, Some(*position), new, expected).await?,
        [LocationEdit::Replace(list)] => replace(app, ctx, id, list, expected).await?,
        [LocationEdit::Clear] => {
            authz::check_image(ctx, Action::SetImageLocation, &load(app, id).await?)?;
            return Err(Error::forbidden("Cannot set locations to empty list."));
        }
        _ => {
            let positions = edits.iter().map(|e| if let LocationEdit::Remove(p) = e { Some(*p) } else { None });
            remove(app, ctx, id, &positions.collect::<Option<Vec<_>>>().ok_or_else(mixed)?, expected).await?
        }
    };
    View::of(app, ctx, after)
}

fn check_state(image: &Image, verb: &str, states: &[Status]) -> Result<()> {
    if states.contains(&image.status) {
        return Ok(());
    }
    let status = image.status.as_str();
    Err(Error::conflict(format!("It's not allowed to {verb} locations if image status is {status}.")))
}

/// Adds at the end; without a position the list was empty.
async fn add(
    app: &Arc<App>,
    ctx: &Context,
    id: &str,
    position: Option<Position>,
    new: &NewLocation,
    expected: Option<i64>,
) -> Result<Image> {
    let (mut read, mut tries) = (None, 0);
    loop {
        let image = load(app, id).await?;

        // authorize
        let permit = authz::check_image(ctx, Action::SetImageLocation, &image)?;
        check_service(ctx, &image)?;
        check_version(&image, expected)?;
        check_state(&image, "add", &[Status::Active, Status::Queued])?;
        new.validation.check_image(&image, &app.config.images.hashing_algorithm)?;
        match position {
            Some(Position::At(n)) if n != shown(app, ctx, &image)?.len() => {
                return Err(Error::invalid("Invalid position for adding a location: it is added at the end."));
            }
            Some(Position::Nowhere) => return Err(Error::invalid("Invalid position for adding a location.")),
            _ => {}
        }
        if image.status == Status::Queued {
            return claim(app, ctx, id, new.clone(), expected).await;
        }

        // store: another copy must be a copy
        let found = find(app, ctx, &image, &new.url).await?;
        if image.size != Some(found.size) {
            return Err(Error::invalid("The data at the location has another size than the image."));
        }
        if read.is_none() {
            read = Some(digests(app, &image, &found.entry, &new.url).await?);
        }
        check_same(&image, read.as_ref())?;

        // commit; what was decided holds for the row as it was read, so a changed row is decided on anew
        let limits = quota::limits(&app.config.quota, image.owner.as_deref());
        let events = [notify::image_event("image.update", &protect::told(ctx, &image)?)];
        match app.db.adopt_location(&permit, &image, found.entry.id(), &new.url, &limits, &events).await {
            Err(e) if e.kind() == Kind::Conflict && changed(app, &image).await? && again(&mut tries).await => {}
            other => return other,
        }
    }
}

async fn digests(app: &App, image: &Image, entry: &Arc<Entry>, url: &str) -> Result<Digests> {
    let _place = app.claims.enter()?;
    let _turn = app.claims.turn().await?;
    let algorithm = image.os_hash_algo.as_deref().unwrap_or(&app.config.images.hashing_algorithm);
    read_all(open(entry, url).await?.as_mut(), algorithm).await
}

/// Whether what was read is the data of the image, as far as that is known.
fn check_same(image: &Image, read: Option<&Digests>) -> Result<()> {
    let same = read.is_some_and(|read| {
        let md5 = image.checksum.as_ref().is_none_or(|checksum| *checksum == read.md5);
        let algorithm = image.os_hash_algo.as_ref() != Some(&read.algo);
        md5 && (algorithm || image.os_hash_value.as_ref().is_none_or(|value| *value == read.value))
    });
    if same { Ok(()) } else { Err(Error::invalid("The data at the location is not that of the image.")) }
}

/// The list as it is changes nothing; any other is taken only while there is none.
async fn replace(
    app: &Arc<App>,
    ctx: &Context,
    id: &str,
    list: &[NewLocation],
    expected: Option<i64>,
) -> Result<Image> {
    let image = load(app, id).await?;
    authz::check_image(ctx, Action::SetImageLocation, &image)?;
    check_version(&image, expected)?;
    check_state(&image, "replace", &[Status::Active, Status::Queued])?;
    if image.locations.is_empty() {
        let [new] = list else { return Err(Error::invalid("Locations are added one at a time.")) };
        return add(app, ctx, id, None, new, expected).await;
    }
    let (mut given, mut there): (Vec<_>, Vec<_>) =
        (list.iter().map(|n| n.url.as_str()).collect(), image.locations.iter().map(|l| l.url.as_str()).collect());
    given.sort_unstable();
    there.sort_unstable();
    if given != there {
        return Err(Error::invalid("Locations can be replaced only while there are none."));
    }
    for new in list {
        new.validation.check_image(&image, &app.config.images.hashing_algorithm)?;
    }
    Ok(image)
}

/// Removes locations one after the other, each position counted in the list that the one before it left; nothing is
/// removed when one of them cannot be.
async fn remove(
    app: &Arc<App>,
    ctx: &Context,
    id: &str,
    positions: &[Position],
    expected: Option<i64>,
) -> Result<Image> {
    let image = load(app, id).await?;

    // authorize
    authz::check_image(ctx, Action::GetImageLocation, &image)?;
    let permit = authz::check_image(ctx, Action::DeleteImageLocation, &image)?;
    check_version(&image, expected)?;
    check_state(&image, "remove", &[Status::Active])?;
    let mut left = shown(app, ctx, &image)?;
    let mut gone = Vec::with_capacity(positions.len());
    for position in positions {
        let at = match position {
            Position::End => left.len().checked_sub(1),
            Position::At(n) => Some(*n),
            Position::Nowhere => None,
        };
        if image.locations.len() == gone.len() + 1 {
            return Err(Error::forbidden("Cannot remove last location in the image."));
        }
        match at.filter(|n| *n < left.len()) {
            Some(at) => gone.push(left.remove(at)),
            None => return Err(Error::invalid("Invalid position for removing a location.")),
        }
    }

    // store
    let text = format!("The data for Image {id} could not be deleted because it is in use.");
    let silent = unless_in_use(app, &gone, &text).await?;

    // commit, store
    for location in &gone {
        let events = [notify::image_event("image.update", &protect::told(ctx, &image)?)];
        let deletion = app.db.remove_location(&permit, &image, &location.id, &events).await?;
        if !silent.contains(&deletion.store) {
            jobs::collect(app, vec![deletion]).await;
        }
    }
    load(app, id).await
}
