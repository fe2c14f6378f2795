//! Removing an image, in an order in which it is never left unreadable while something needs it.
//!
//! A clone of format 1 needs the protected snapshot: then nothing changes. A clone of format 2 needs only the data:
//! the image goes to the pool's trash under its name, where a later call finds it and removes it after the last clone.

use super::{
    connection::Pool,
    errors::{at, failed, in_use},
    ffi::{Errno, Image, Mode},
    header,
    url::SNAP,
};
use crate::store::{StoreError, StoreErrorKind};

/// `object-map` and `fast-diff`, which needs it.
const OBJECT_MAP: u64 = 8 | 16;

/// Removes the image `name` with its snapshot; also what an earlier call left in the trash.
pub(super) fn image(pool: &Pool, name: &str) -> Result<(), StoreError> {
    let image = match Image::open(&pool.io, name, None, Mode::Write) {
        Ok(image) => image,
        Err(Errno::NOENT) => return from_trash(pool, name),
        Err(e) => return Err(failed("open", e)),
    };
    let taken = unwatched(pool, &image).and_then(|()| take_snapshot(&image));
    let taken = taken.and_then(|had_snapshot| if had_snapshot { Ok(true) } else { forget_map(&image).map(|()| false) });
    image.close();
    let had_snapshot = taken?;
    match pool.io.remove_image(name) {
        Ok(()) => Ok(()),
        Err(Errno::NOTEMPTY) => to_trash(pool, name),
        // Somebody opened it since it was looked at: it must stay readable.
        Err(Errno::BUSY) => {
            if had_snapshot {
                restore_snapshot(pool, name)?;
            }
            Err(in_use("remove: the image is open elsewhere"))
        }
        Err(Errno::NOENT) => still_there(pool, name),
        Err(e) => Err(failed("remove", e)),
    }
}

/// Removes the image if it is still the one of this id, and not another that took its name. After writes that all ended
/// well its map is `right`, and spares the cluster a question for every object that was declared and never written.
pub(super) fn unfinished(pool: &Pool, name: &str, id: &str, right: bool) -> Result<(), StoreError> {
    if header::id_of(&pool.io, name)?.as_deref() != Some(id) {
        return Ok(());
    }
    if right {
        match pool.io.remove_image(name) {
            Ok(()) => return Ok(()),
            Err(Errno::NOENT) => return still_there(pool, name),
            // It got its snapshot before the last step failed.
            Err(Errno::NOTEMPTY) => {}
            Err(e) => return Err(failed("remove", e)),
        }
    }
    match image(pool, name) {
        Err(e) if e.kind == StoreErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Nobody but this handle has the image open for writing.
fn unwatched(pool: &Pool, image: &Image) -> Result<(), StoreError> {
    let own = i64::try_from(pool.io.cluster().instance()).unwrap_or(-1);
    let watchers = image.watchers().map_err(at("watchers"))?;
    // One entry is this handle's.
    if watchers.len() > 1 || watchers.iter().any(|id| *id != own) {
        return Err(in_use("remove: the image is open elsewhere"));
    }
    Ok(())
}

/// A write that the cluster did not answer in time may have put objects where the map says that none are, and librbd
/// removes only what the map knows. An image that is whole has a map that is right, or marked as wrong.
fn forget_map(image: &Image) -> Result<(), StoreError> {
    let features = image.features().map_err(at("features"))? & OBJECT_MAP;
    if features == 0 { Ok(()) } else { image.disable(features).map_err(at("object map")) }
}

/// Removes the snapshot; tells whether there was one.
fn take_snapshot(image: &Image) -> Result<bool, StoreError> {
    match image.snap_unprotect(SNAP) {
        Ok(()) | Err(Errno::INVAL) => {}
        Err(Errno::NOENT) => return Ok(false),
        Err(Errno::BUSY) => return Err(in_use("unprotect: clones need the image")),
        Err(e) => return Err(failed("unprotect", e)),
    }
    match image.snap_remove(SNAP) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(Errno::BUSY) => Err(in_use("remove snapshot: clones need the image")),
        Err(e) => Err(failed("remove snapshot", e)),
    }
}

fn restore_snapshot(pool: &Pool, name: &str) -> Result<(), StoreError> {
    let image = Image::open(&pool.io, name, None, Mode::Write).map_err(at("open"))?;
    let restored = image.snap_create(SNAP).map_err(at("snapshot"));
    let restored = restored.and_then(|()| image.snap_protect(SNAP).map_err(at("protect")));
    image.close();
    restored
}

fn to_trash(pool: &Pool, name: &str) -> Result<(), StoreError> {
    match pool.io.move_to_trash(name) {
        Ok(()) => Err(in_use("remove: clones or snapshots need the data, which wait in the trash")),
        Err(e) => Err(failed("trash", e)),
    }
}

/// The image has no name any more: it is gone, or it waits in the trash.
fn from_trash(pool: &Pool, name: &str) -> Result<(), StoreError> {
    let mut found = false;
    for entry in pool.io.trash().map_err(at("trash"))? {
        if entry.name != name || !entry.removed {
            continue;
        }
        found = true;
        match pool.io.remove_from_trash(&entry.id) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(Errno::NOTEMPTY | Errno::BUSY) => return Err(in_use("remove: clones need the data in the trash")),
            Err(e) => return Err(failed("remove from trash", e)),
        }
    }
    let none = || StoreError::permanent(StoreErrorKind::NotFound, "remove: there is no such image");
    if found { Ok(()) } else { Err(none()) }
}

/// A removal that says "no such image": in a full pool that never had a trash it says so of an image that stays.
fn still_there(pool: &Pool, name: &str) -> Result<(), StoreError> {
    match header::id_of(&pool.io, name)? {
        None => Ok(()),
        Some(_) => Err(StoreError::temporary(StoreErrorKind::NoSpace, "remove: the pool is too full to remove from")),
    }
}
