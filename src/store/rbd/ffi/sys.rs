//! librbd as `rbd/librbd.h` declares it, as far as it is used, and what the `ceph` crate leaves out of librados.

#![expect(non_camel_case_types, reason = "the names of the C headers")]

use std::ffi::{c_char, c_int, c_void};

pub use ceph::rados::{
    rados_buffer_free, rados_cluster_fsid, rados_conf_get, rados_conf_read_file, rados_conf_set, rados_connect,
    rados_create2, rados_exec, rados_get_instance_id, rados_ioctx_create, rados_ioctx_destroy, rados_ioctx_get_id,
    rados_ioctx_t, rados_mon_command, rados_pool_list, rados_shutdown, rados_stat, rados_t,
    rados_wait_for_latest_osdmap,
};

pub type rbd_image_t = *mut c_void;
pub type rbd_completion_t = *mut c_void;
pub type rbd_image_options_t = *mut c_void;
pub type rbd_callback_t = unsafe extern "C" fn(rbd_completion_t, *mut c_void);
pub type librbd_progress_fn_t = unsafe extern "C" fn(u64, u64, *mut c_void) -> c_int;

pub const RBD_IMAGE_OPTION_FORMAT: c_int = 0;
pub const RBD_IMAGE_OPTION_FEATURES: c_int = 1;
pub const RBD_IMAGE_OPTION_ORDER: c_int = 2;
pub const RBD_IMAGE_OPTION_STRIPE_UNIT: c_int = 3;
pub const RBD_IMAGE_OPTION_STRIPE_COUNT: c_int = 4;
pub const RBD_IMAGE_OPTION_DATA_POOL: c_int = 10;
pub const RBD_LOCK_MODE_EXCLUSIVE: c_int = 0;

#[repr(C)]
pub struct rbd_image_spec_t {
    pub id: *mut c_char,
    pub name: *mut c_char,
}

#[repr(C)]
pub struct rbd_image_info_t {
    pub size: u64,
    pub obj_size: u64,
    pub num_objs: u64,
    pub order: c_int,
    pub block_name_prefix: [c_char; 24],
    pub parent_pool: i64,
    pub parent_name: [c_char; 96],
}

#[repr(C)]
pub struct rbd_trash_image_info_t {
    pub id: *mut c_char,
    pub name: *mut c_char,
    pub source: c_int,
    /// `time_t`
    pub deletion_time: i64,
    pub deferment_end_time: i64,
}

#[repr(C)]
pub struct rbd_image_watcher_t {
    pub addr: *mut c_char,
    pub id: i64,
    pub cookie: u64,
}

#[link(name = "rados")]
unsafe extern "C" {
    pub fn rados_set_pool_full_try(io: rados_ioctx_t);
    pub fn rados_getaddrs(cluster: rados_t, addrs: *mut *mut c_char) -> c_int;
    pub fn rados_blocklist_add(cluster: rados_t, address: *mut c_char, expire_seconds: u32) -> c_int;
}

#[link(name = "rbd")]
unsafe extern "C" {
    pub fn rbd_image_options_create(opts: *mut rbd_image_options_t);
    pub fn rbd_image_options_destroy(opts: rbd_image_options_t);
    pub fn rbd_image_options_set_string(opts: rbd_image_options_t, name: c_int, value: *const c_char) -> c_int;
    pub fn rbd_image_options_set_uint64(opts: rbd_image_options_t, name: c_int, value: u64) -> c_int;

    pub fn rbd_list2(io: rados_ioctx_t, images: *mut rbd_image_spec_t, max: *mut usize) -> c_int;
    pub fn rbd_image_spec_list_cleanup(images: *mut rbd_image_spec_t, count: usize);
    pub fn rbd_create4(io: rados_ioctx_t, name: *const c_char, size: u64, opts: rbd_image_options_t) -> c_int;
    pub fn rbd_remove(io: rados_ioctx_t, name: *const c_char) -> c_int;
    pub fn rbd_trash_move(io: rados_ioctx_t, name: *const c_char, delay: u64) -> c_int;
    pub fn rbd_trash_list(io: rados_ioctx_t, entries: *mut rbd_trash_image_info_t, count: *mut usize) -> c_int;
    pub fn rbd_trash_list_cleanup(entries: *mut rbd_trash_image_info_t, count: usize);
    pub fn rbd_trash_remove(io: rados_ioctx_t, id: *const c_char, force: bool) -> c_int;

    pub fn rbd_open(io: rados_ioctx_t, name: *const c_char, image: *mut rbd_image_t, snap: *const c_char) -> c_int;
    pub fn rbd_open_read_only(
        io: rados_ioctx_t,
        name: *const c_char,
        image: *mut rbd_image_t,
        snap: *const c_char,
    ) -> c_int;
    pub fn rbd_aio_close(image: rbd_image_t, completion: rbd_completion_t) -> c_int;
    pub fn rbd_resize(image: rbd_image_t, size: u64) -> c_int;
    pub fn rbd_copy_with_progress3(
        image: rbd_image_t,
        io: rados_ioctx_t,
        name: *const c_char,
        opts: rbd_image_options_t,
        told: librbd_progress_fn_t,
        arg: *mut c_void,
    ) -> c_int;
    pub fn rbd_stat(image: rbd_image_t, info: *mut rbd_image_info_t, size: usize) -> c_int;
    pub fn rbd_get_features(image: rbd_image_t, features: *mut u64) -> c_int;
    pub fn rbd_update_features(image: rbd_image_t, features: u64, enabled: u8) -> c_int;
    pub fn rbd_get_id(image: rbd_image_t, id: *mut c_char, len: usize) -> c_int;
    pub fn rbd_lock_acquire(image: rbd_image_t, mode: c_int) -> c_int;
    pub fn rbd_watchers_list(image: rbd_image_t, watchers: *mut rbd_image_watcher_t, max: *mut usize) -> c_int;
    pub fn rbd_watchers_list_cleanup(watchers: *mut rbd_image_watcher_t, count: usize);

    pub fn rbd_snap_create(image: rbd_image_t, name: *const c_char) -> c_int;
    pub fn rbd_snap_remove(image: rbd_image_t, name: *const c_char) -> c_int;
    pub fn rbd_snap_protect(image: rbd_image_t, name: *const c_char) -> c_int;
    pub fn rbd_snap_unprotect(image: rbd_image_t, name: *const c_char) -> c_int;
    pub fn rbd_snap_get_id(image: rbd_image_t, name: *const c_char, id: *mut u64) -> c_int;

    pub fn rbd_aio_create_completion(
        arg: *mut c_void,
        callback: rbd_callback_t,
        completion: *mut rbd_completion_t,
    ) -> c_int;
    pub fn rbd_aio_get_return_value(completion: rbd_completion_t) -> isize;
    pub fn rbd_aio_release(completion: rbd_completion_t);
    pub fn rbd_aio_write(
        image: rbd_image_t,
        offset: u64,
        len: usize,
        data: *const c_char,
        completion: rbd_completion_t,
    ) -> c_int;
    pub fn rbd_aio_read(
        image: rbd_image_t,
        offset: u64,
        len: usize,
        data: *mut c_char,
        completion: rbd_completion_t,
    ) -> c_int;
    pub fn rbd_aio_flush(image: rbd_image_t, completion: rbd_completion_t) -> c_int;
}
