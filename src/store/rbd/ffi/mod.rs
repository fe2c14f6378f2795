//! librados and librbd behind a small safe layer: the only place in this crate with `unsafe`.
//!
//! What keeps it sound:
//! * A handle lives in one type and is released once, by its `Drop`. An [`Image`] keeps its [`IoCtx`], which keeps its
//!   [`Cluster`]; a close under way keeps them too.
//! * A buffer that librbd reads or fills belongs to the request, until librbd calls back. Nothing cancels a request.
//! * The callbacks only send and drop; nothing in them panics or waits.
//!
//! What blocks here blocks its thread: see `super::threads`. What does not is said at each function.

#![expect(unsafe_code, reason = "librados and librbd are C libraries")]

use std::{
    ffi::{CString, c_int},
    fmt,
};

mod cluster;
mod image;
mod names;
mod sys;
mod transfer;

pub(super) use cluster::{Cluster, IoCtx, Login};
pub(super) use image::{Image, Mode};
pub(super) use names::Shape;
pub(super) use transfer::{Transfer, flush, read, write};

/// An error number of the system, as the libraries return it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Errno(pub i32);

impl Errno {
    pub const NOENT: Self = Self(2);
    pub const BUSY: Self = Self(16);
    pub const EXIST: Self = Self(17);
    pub const INVAL: Self = Self(22);
    pub const RANGE: Self = Self(34);
    pub const NOTEMPTY: Self = Self(39);
    pub const BADMSG: Self = Self(74);
    pub const TIMEDOUT: Self = Self(110);
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        std::io::Error::from_raw_os_error(self.0).fmt(f)
    }
}

impl std::error::Error for Errno {}

fn check(result: c_int) -> Result<c_int, Errno> {
    if result < 0 { Err(Errno(result.saturating_neg())) } else { Ok(result) }
}

fn c_string(text: &str) -> Result<CString, Errno> {
    CString::new(text).map_err(|_| Errno::INVAL)
}
