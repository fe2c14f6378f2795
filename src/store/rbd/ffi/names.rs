//! The images of a pool by their names: made, listed, removed, and what lies in the pool's trash.

use std::{
    ffi::{CStr, c_char},
    ptr,
};

use super::{Errno, IoCtx, c_string, check, sys};

/// How an image is made.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Power of two of the size of its objects.
    pub order: u32,
    pub features: u64,
    /// Where its data go, if not into the pool of its header.
    pub data_pool: Option<String>,
}

/// An image in the trash.
#[derive(Debug)]
pub struct Trashed {
    pub id: String,
    pub name: String,
    /// Moved there by a person or a client, or left over when a removal was interrupted; not by mirroring or migration.
    pub removed: bool,
}

/// Tries to read a list that grows while it is read.
const TRIES: usize = 8;

impl IoCtx {
    pub fn create_image(&self, name: &str, size: u64, shape: &Shape) -> Result<(), Errno> {
        let (options, name) = (Options::of(shape)?, c_string(name)?);
        // SAFETY: context and options are valid, the name for the call.
        check(unsafe { sys::rbd_create4(self.handle(), name.as_ptr(), size, options.handle()) }).map(drop)
    }

    /// Removes an image that has no snapshots and that nobody has open for writing.
    pub fn remove_image(&self, name: &str) -> Result<(), Errno> {
        let name = c_string(name)?;
        // SAFETY: the context is valid, the name for the call.
        check(unsafe { sys::rbd_remove(self.handle(), name.as_ptr()) }).map(drop)
    }

    /// Takes the image's name away; what still needs its data keeps them.
    pub fn move_to_trash(&self, name: &str) -> Result<(), Errno> {
        let name = c_string(name)?;
        // SAFETY: the context is valid, the name for the call.
        check(unsafe { sys::rbd_trash_move(self.handle(), name.as_ptr(), 0) }).map(drop)
    }

    /// Removes an image from the trash, if nothing needs it any more.
    pub fn remove_from_trash(&self, id: &str) -> Result<(), Errno> {
        let id = c_string(id)?;
        // SAFETY: the context is valid, the id for the call.
        check(unsafe { sys::rbd_trash_remove(self.handle(), id.as_ptr(), false) }).map(drop)
    }

    /// Internal id and name of every image.
    pub fn images(&self) -> Result<Vec<(String, String)>, Errno> {
        let mut room = 256;
        for _ in 0..TRIES {
            let mut count = room;
            let mut specs: Vec<sys::rbd_image_spec_t> = Vec::with_capacity(room);
            // SAFETY: there is room for `count` entries; librbd sets `count` to how many there are.
            let result = check(unsafe { sys::rbd_list2(self.handle(), specs.as_mut_ptr(), &raw mut count) });
            match result {
                Ok(_) => {
                    // SAFETY: librbd wrote so many entries, not more than there is room for.
                    unsafe { specs.set_len(count.min(room)) };
                    // SAFETY: the strings of an entry end with a zero and live until the clean-up.
                    let all = specs.iter().map(|s| unsafe { (owned(s.id), owned(s.name)) }).collect();
                    // SAFETY: what `rbd_list2` allocated is freed once.
                    unsafe { sys::rbd_image_spec_list_cleanup(specs.as_mut_ptr(), specs.len()) };
                    return Ok(all);
                }
                Err(Errno::RANGE) => room = count.saturating_add(64),
                Err(Errno::NOENT) => return Ok(Vec::new()),
                Err(e) => return Err(e),
            }
        }
        Err(Errno::RANGE)
    }

    /// Everything in the pool's trash.
    pub fn trash(&self) -> Result<Vec<Trashed>, Errno> {
        let mut room = 64;
        for _ in 0..TRIES {
            let mut count = room;
            let mut entries: Vec<sys::rbd_trash_image_info_t> = Vec::with_capacity(room);
            // SAFETY: there is room for `count` entries; librbd sets `count` to how many there are.
            let result = check(unsafe { sys::rbd_trash_list(self.handle(), entries.as_mut_ptr(), &raw mut count) });
            match result {
                Ok(_) => {
                    // SAFETY: librbd wrote so many entries, not more than there is room for.
                    unsafe { entries.set_len(count.min(room)) };
                    let entry = |e: &sys::rbd_trash_image_info_t| {
                        // SAFETY: the strings of an entry end with a zero and live until the clean-up.
                        let (id, name) = unsafe { (owned(e.id), owned(e.name)) };
                        // RBD_TRASH_IMAGE_SOURCE_USER, _REMOVING and _USER_PARENT.
                        Trashed { id, name, removed: matches!(e.source, 0 | 3 | 4) }
                    };
                    let all = entries.iter().map(entry).collect();
                    // SAFETY: what `rbd_trash_list` allocated is freed once.
                    unsafe { sys::rbd_trash_list_cleanup(entries.as_mut_ptr(), entries.len()) };
                    return Ok(all);
                }
                Err(Errno::RANGE) => room = count.saturating_add(64),
                Err(Errno::NOENT) => return Ok(Vec::new()),
                Err(e) => return Err(e),
            }
        }
        Err(Errno::RANGE)
    }
}

/// A copy of a C string; empty for none.
///
/// # Safety
/// `text` is null or ends with a zero.
unsafe fn owned(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// `rbd_image_options_t`
pub(super) struct Options(sys::rbd_image_options_t);

impl Options {
    pub fn of(shape: &Shape) -> Result<Self, Errno> {
        let mut options = ptr::null_mut();
        // SAFETY: writes the handle.
        unsafe { sys::rbd_image_options_create(&raw mut options) };
        let options = Self(options);
        options.number(sys::RBD_IMAGE_OPTION_FORMAT, 2)?;
        options.number(sys::RBD_IMAGE_OPTION_FEATURES, shape.features)?;
        options.number(sys::RBD_IMAGE_OPTION_ORDER, u64::from(shape.order))?;
        if let Some(pool) = &shape.data_pool {
            options.text(sys::RBD_IMAGE_OPTION_DATA_POOL, pool)?;
        }
        Ok(options)
    }

    pub fn handle(&self) -> sys::rbd_image_options_t {
        self.0
    }

    pub fn number(&self, name: i32, value: u64) -> Result<(), Errno> {
        // SAFETY: the handle is valid.
        check(unsafe { sys::rbd_image_options_set_uint64(self.0, name, value) }).map(drop)
    }

    fn text(&self, name: i32, value: &str) -> Result<(), Errno> {
        let value = c_string(value)?;
        // SAFETY: the handle is valid; librbd copies the string.
        check(unsafe { sys::rbd_image_options_set_string(self.0, name, value.as_ptr()) }).map(drop)
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: made by `of` and destroyed once.
        unsafe { sys::rbd_image_options_destroy(self.0) };
    }
}
