//! An open image.

use std::{
    ffi::{CString, c_char, c_int, c_void},
    mem::MaybeUninit,
    ptr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::{oneshot, watch};

use super::{
    Cluster, Errno, IoCtx, Shape, c_string, check,
    names::Options,
    sys,
    transfer::{Slot, completion},
};

/// How an image is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Registers a watch, so that others see that the image is open.
    Write,
    Read,
}

/// A `rbd_image_t`. Dropping it begins to close it, and waits for nothing.
#[derive(Debug)]
pub struct Image {
    handle: sys::rbd_image_t,
    io: Arc<IoCtx>,
    /// Goes when the image is closed.
    open: Option<watch::Sender<()>>,
    closed: watch::Receiver<()>,
    told: Option<oneshot::Sender<()>>,
}

// SAFETY: librbd serves calls and requests with one handle from any thread, and from several at the same time.
unsafe impl Send for Image {}
// SAFETY: as above.
unsafe impl Sync for Image {}

/// What a close that is under way needs.
struct Closing {
    _io: Arc<IoCtx>,
    _open: Option<watch::Sender<()>>,
    _told: Option<oneshot::Sender<()>>,
}

impl Slot for Closing {
    fn finish(self: Box<Self>, _result: isize) {}
}

impl Image {
    /// Opens the image, or a snapshot of it.
    pub fn open(io: &Arc<IoCtx>, name: &str, snap: Option<&str>, mode: Mode) -> Result<Self, Errno> {
        let name = c_string(name)?;
        let snap: Option<CString> = snap.map(c_string).transpose()?;
        let snap = snap.as_ref().map_or(ptr::null(), |s| s.as_ptr());
        let mut handle = ptr::null_mut();
        // SAFETY: the context is valid and outlives the image; the names are valid for the call.
        check(unsafe {
            match mode {
                Mode::Write => sys::rbd_open(io.handle(), name.as_ptr(), &raw mut handle, snap),
                Mode::Read => sys::rbd_open_read_only(io.handle(), name.as_ptr(), &raw mut handle, snap),
            }
        })?;
        let (open, closed) = watch::channel(());
        Ok(Self { handle, io: Arc::clone(io), open: Some(open), closed, told: None })
    }

    pub fn cluster(&self) -> &Arc<Cluster> {
        self.io.cluster()
    }

    pub(super) fn handle(&self) -> sys::rbd_image_t {
        self.handle
    }

    /// Changes to an error when the image is closed.
    pub fn closed(&self) -> watch::Receiver<()> {
        self.closed.clone()
    }

    /// Closes and waits for it; for threads that may block.
    pub fn close(mut self) {
        let (told, done) = oneshot::channel();
        self.told = Some(told);
        drop(self);
        let _ = done.blocking_recv();
    }

    /// Size of the image, or of its snapshot, and of the objects of which it consists. Does not block.
    pub fn extent(&self) -> Result<(u64, u64), Errno> {
        let mut info = MaybeUninit::<sys::rbd_image_info_t>::zeroed();
        // SAFETY: the structure is as long as said, and all its bit patterns are valid.
        let info = unsafe {
            check(sys::rbd_stat(self.handle, info.as_mut_ptr(), size_of::<sys::rbd_image_info_t>()))?;
            info.assume_init()
        };
        Ok((info.size, info.obj_size))
    }

    /// The id by which the pool knows the image, whatever its name is. Does not block.
    pub fn id(&self) -> Result<String, Errno> {
        let mut id = vec![0_u8; 256];
        // SAFETY: the buffer is as long as said.
        check(unsafe { sys::rbd_get_id(self.handle, id.as_mut_ptr().cast::<c_char>(), id.len()) })?;
        let text = id.split(|b| *b == 0).next().unwrap_or_default();
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    pub fn features(&self) -> Result<u64, Errno> {
        let mut features = 0;
        // SAFETY: the handle is valid; the result is written.
        check(unsafe { sys::rbd_get_features(self.handle, &raw mut features) })?;
        Ok(features)
    }

    /// Takes features away.
    pub fn disable(&self, features: u64) -> Result<(), Errno> {
        // SAFETY: the handle is valid.
        check(unsafe { sys::rbd_update_features(self.handle, features, 0) }).map(drop)
    }

    pub fn resize(&self, size: u64) -> Result<(), Errno> {
        // SAFETY: the handle is valid.
        check(unsafe { sys::rbd_resize(self.handle, size) }).map(drop)
    }

    /// Copies what this handle sees, without snapshots, into a new image of the same cluster. Chunks of zeros are left
    /// out. `begun` counts the bytes that were taken in hand; of those, `rbd_concurrent_management_ops` objects at most
    /// are not written yet.
    pub fn copy(&self, to: &IoCtx, name: &str, shape: &Shape, begun: &AtomicU64) -> Result<(), Errno> {
        let (options, name) = (Options::of(shape)?, c_string(name)?);
        // Else they are those of the source, which need not fit other objects.
        options.number(sys::RBD_IMAGE_OPTION_STRIPE_UNIT, 1 << shape.order)?;
        options.number(sys::RBD_IMAGE_OPTION_STRIPE_COUNT, 1)?;
        let arg = ptr::from_ref(begun).cast_mut().cast::<c_void>();
        // SAFETY: image, context and options are valid, the name for the call; the call ends after the last call of
        // `told`, which takes `arg` for what it is.
        check(unsafe {
            sys::rbd_copy_with_progress3(self.handle, to.handle(), name.as_ptr(), options.handle(), told, arg)
        })
        .map(drop)
    }

    /// Takes the exclusive lock and keeps it until the image is closed.
    pub fn lock(&self) -> Result<(), Errno> {
        // SAFETY: the handle is valid.
        check(unsafe { sys::rbd_lock_acquire(self.handle, sys::RBD_LOCK_MODE_EXCLUSIVE) }).map(drop)
    }

    /// The numbers of the clients that have the image open for writing; of this one too.
    pub fn watchers(&self) -> Result<Vec<i64>, Errno> {
        let mut room = 16;
        for _ in 0..4 {
            let mut count = room;
            let mut watchers: Vec<sys::rbd_image_watcher_t> = Vec::with_capacity(room);
            // SAFETY: there is room for `count` entries; librbd sets `count` to how many there are.
            let result = check(unsafe { sys::rbd_watchers_list(self.handle, watchers.as_mut_ptr(), &raw mut count) });
            match result {
                Ok(_) => {
                    // SAFETY: librbd wrote so many entries, not more than there is room for.
                    unsafe { watchers.set_len(count.min(room)) };
                    let ids = watchers.iter().map(|w| w.id).collect();
                    // SAFETY: what the call allocated is freed once.
                    unsafe { sys::rbd_watchers_list_cleanup(watchers.as_mut_ptr(), watchers.len()) };
                    return Ok(ids);
                }
                Err(Errno::RANGE) => room = count.saturating_add(16),
                Err(e) => return Err(e),
            }
        }
        Err(Errno::RANGE)
    }

    pub fn snap_create(&self, name: &str) -> Result<(), Errno> {
        let name = c_string(name)?;
        // SAFETY: the handle is valid, the name for the call.
        check(unsafe { sys::rbd_snap_create(self.handle, name.as_ptr()) }).map(drop)
    }

    pub fn snap_remove(&self, name: &str) -> Result<(), Errno> {
        let name = c_string(name)?;
        // SAFETY: the handle is valid, the name for the call.
        check(unsafe { sys::rbd_snap_remove(self.handle, name.as_ptr()) }).map(drop)
    }

    pub fn snap_protect(&self, name: &str) -> Result<(), Errno> {
        let name = c_string(name)?;
        // SAFETY: the handle is valid, the name for the call.
        check(unsafe { sys::rbd_snap_protect(self.handle, name.as_ptr()) }).map(drop)
    }

    pub fn snap_unprotect(&self, name: &str) -> Result<(), Errno> {
        let name = c_string(name)?;
        // SAFETY: the handle is valid, the name for the call.
        check(unsafe { sys::rbd_snap_unprotect(self.handle, name.as_ptr()) }).map(drop)
    }

    /// The number of a snapshot, unique in the pool.
    pub fn snap_id(&self, name: &str) -> Result<u64, Errno> {
        let name = c_string(name)?;
        let mut id = 0;
        // SAFETY: the handle is valid, the name for the call; the result is written.
        check(unsafe { sys::rbd_snap_get_id(self.handle, name.as_ptr(), &raw mut id) })?;
        Ok(id)
    }
}

unsafe extern "C" fn told(begun: u64, _total: u64, arg: *mut c_void) -> c_int {
    // SAFETY: `arg` is the counter that `Image::copy` borrows for as long as its call lasts.
    unsafe { &*arg.cast::<AtomicU64>() }.store(begun, Ordering::Relaxed);
    0
}

impl Drop for Image {
    fn drop(&mut self) {
        let slot = Closing { _io: Arc::clone(&self.io), _open: self.open.take(), _told: self.told.take() };
        // Without a completion the image stays open: that is better than to wait here.
        let Ok(completion) = completion(Box::new(slot)) else { return };
        // SAFETY: the image is closed once. Requests under way own their buffers, and closing waits for them; the
        // slot keeps the context until it is done.
        unsafe { sys::rbd_aio_close(self.handle, completion) };
    }
}
