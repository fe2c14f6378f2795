//! Blocking calls of one store, kept from harming the rest: a bounded number at a time, each with a deadline.
//!
//! A disk that hangs holds its own slots and threads; async workers, other stores and the health checks go on.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinHandle,
    time::timeout,
};

use super::{StoreError, StoreErrorKind};

/// Calls of one store that may block at the same time. The pool of tokio holds 512 threads for all stores together.
const SLOTS: usize = 64;
/// A call that takes longer is reported as a store that does not answer.
pub(super) const DEADLINE: Duration = Duration::from_secs(60);
/// The same for flushing to the disk, which may have much to do.
pub(super) const SYNC_DEADLINE: Duration = Duration::from_secs(300);

/// The slots of one store.
#[derive(Debug, Clone)]
pub(super) struct Lane {
    slots: Arc<Semaphore>,
}

/// A call under way.
pub(super) struct Pending<T> {
    handle: JoinHandle<io::Result<T>>,
    what: &'static str,
}

impl Lane {
    pub fn new() -> Self {
        Self { slots: Arc::new(Semaphore::new(SLOTS)) }
    }

    /// Runs `job` and waits for it.
    pub async fn run<T, F>(&self, what: &'static str, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce() -> io::Result<T> + Send + 'static,
    {
        self.start(what, job).await?.wait(DEADLINE).await
    }

    /// Begins `job` as soon as a slot is free.
    pub async fn start<T, F>(&self, what: &'static str, job: F) -> Result<Pending<T>, StoreError>
    where
        T: Send + 'static,
        F: FnOnce() -> io::Result<T> + Send + 'static,
    {
        let slot = timeout(DEADLINE, Arc::clone(&self.slots).acquire_owned()).await;
        match slot {
            Ok(Ok(slot)) => Ok(spawn(slot, what, job)),
            _ => Err(no_answer(what)),
        }
    }

    /// Begins `job` if a slot is free at once: for work that is only an advance.
    pub fn try_start<T, F>(&self, what: &'static str, job: F) -> Option<Pending<T>>
    where
        T: Send + 'static,
        F: FnOnce() -> io::Result<T> + Send + 'static,
    {
        let slot = Arc::clone(&self.slots).try_acquire_owned().ok()?;
        Some(spawn(slot, what, job))
    }
}

impl<T> Pending<T> {
    /// Waits for the result. A call that misses the deadline keeps its slot until the system lets go of it.
    pub async fn wait(self, deadline: Duration) -> Result<T, StoreError> {
        match timeout(deadline, self.handle).await {
            Ok(Ok(Ok(value))) => Ok(value),
            Ok(Ok(Err(e))) => Err(io_error(self.what, e)),
            Ok(Err(e)) => Err(StoreError {
                source: Some(Box::new(e)),
                ..StoreError::temporary(StoreErrorKind::Unexpected, format!("{}: the call was lost", self.what))
            }),
            Err(_) => Err(no_answer(self.what)),
        }
    }

    /// Whether the result is there.
    pub fn is_done(&self) -> bool {
        self.handle.is_finished()
    }
}

fn spawn<T, F>(slot: OwnedSemaphorePermit, what: &'static str, job: F) -> Pending<T>
where
    T: Send + 'static,
    F: FnOnce() -> io::Result<T> + Send + 'static,
{
    let handle = tokio::task::spawn_blocking(move || {
        let _slot = slot;
        job()
    });
    Pending { handle, what }
}

fn no_answer(what: &'static str) -> StoreError {
    StoreError::temporary(StoreErrorKind::Unavailable, format!("{what}: no answer in time"))
}

/// What an error of the system means for a store.
pub(super) fn io_error(what: &str, e: io::Error) -> StoreError {
    use StoreErrorKind as K;
    use io::ErrorKind as E;
    let (kind, temporary) = match e.kind() {
        E::NotFound => (K::NotFound, false),
        E::AlreadyExists => (K::AlreadyExists, false),
        E::StorageFull | E::QuotaExceeded | E::FileTooLarge => (K::NoSpace, false),
        E::PermissionDenied | E::ReadOnlyFilesystem => (K::Denied, false),
        E::UnexpectedEof => (K::Unexpected, false),
        _ => (K::Unavailable, true),
    };
    StoreError { kind, message: format!("{what}: {e}"), temporary, source: Some(Box::new(e)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_full_disk_is_no_space() {
        let Ok(mut full) = std::fs::OpenOptions::new().write(true).open("/dev/full") else { return };
        let error = full.write_all(&[0; 4096]).and_then(|()| full.flush()).expect_err("the device is always full");
        assert_eq!(io_error("write", error).kind, StoreErrorKind::NoSpace);
        let quota = io::Error::from_raw_os_error(rustix::io::Errno::DQUOT.raw_os_error());
        assert_eq!(io_error("write", quota).kind, StoreErrorKind::NoSpace);
    }

    #[test]
    fn a_failing_disk_is_temporary() {
        let error = io_error("read", io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error()));
        assert_eq!((error.kind, error.temporary), (StoreErrorKind::Unavailable, true));
    }

    #[tokio::test]
    async fn a_hanging_call_is_given_up_and_keeps_its_slot() {
        let lane = Lane { slots: Arc::new(Semaphore::new(1)) };
        let (release, gate) = std::sync::mpsc::channel::<()>();
        let pending = lane.start("read", move || gate.recv().map_err(io::Error::other)).await.expect("a slot");
        let error = pending.wait(Duration::from_millis(10)).await.expect_err("hangs");
        assert_eq!((error.kind, error.temporary), (StoreErrorKind::Unavailable, true));
        assert!(lane.try_start("read", || Ok(())).is_none());
        release.send(()).expect("the call still waits");
    }
}
