//! What error numbers of librados and librbd mean for a store.

use super::ffi::Errno;
use crate::store::{StoreError, StoreErrorKind};

/// The error of a step, from its number.
pub(super) fn at(step: &'static str) -> impl Fn(Errno) -> StoreError {
    move |errno| failed(step, errno)
}

pub(super) fn failed(step: &str, errno: Errno) -> StoreError {
    let (kind, temporary) = meaning(errno);
    StoreError { kind, message: format!("{step}: {errno}"), temporary, source: Some(Box::new(errno)) }
}

/// The number behind an error.
pub(super) fn errno(error: &StoreError) -> Option<Errno> {
    error.source.as_ref()?.downcast_ref::<Errno>().copied()
}

fn meaning(errno: Errno) -> (StoreErrorKind, bool) {
    use StoreErrorKind as K;
    match errno.0 {
        2 => (K::NotFound, false),
        17 => (K::AlreadyExists, false),
        // EFBIG, ENOSPC, EDQUOT: too large for an image, the cluster or pool is full, the pool's quota is reached.
        27 | 28 | 122 => (K::NoSpace, false),
        1 | 13 => (K::Denied, false),
        // EBUSY, ENOTEMPTY, and EROFS: another client has the image's exclusive lock.
        16 | 30 | 39 => (K::InUse, true),
        // EBADMSG is what making a snapshot gives when the osd does not answer.
        4 | 5 | 11 | 74 | 104 | 107 | 108 | 110 | 111 | 113 => (K::Unavailable, true),
        _ => (K::Unexpected, false),
    }
}

/// Something else uses the image: it stays.
pub(super) fn in_use(message: &str) -> StoreError {
    StoreError::temporary(StoreErrorKind::InUse, message)
}

/// The cluster does not answer.
pub(super) fn no_answer(what: &str) -> StoreError {
    StoreError {
        source: Some(Box::new(Errno::TIMEDOUT)),
        ..StoreError::temporary(StoreErrorKind::Unavailable, format!("{what}: the cluster does not answer in time"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_meaning() {
        use StoreErrorKind as K;
        let cases = [
            (2, K::NotFound, false),
            (1, K::Denied, false),
            (17, K::AlreadyExists, false),
            (28, K::NoSpace, false),
            (122, K::NoSpace, false),
            (39, K::InUse, true),
            (74, K::Unavailable, true),
            (108, K::Unavailable, true),
            (110, K::Unavailable, true),
            (22, K::Unexpected, false),
        ];
        for (number, kind, temporary) in cases {
            let error = failed("step", Errno(number));
            assert_eq!((error.kind, error.temporary), (kind, temporary), "{number}");
            assert_eq!(errno(&error), Some(Errno(number)));
            assert!(error.message.starts_with("step: "), "{error}");
        }
    }
}
