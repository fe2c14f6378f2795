//! Threads for calls that block: a bounded number for each store, which may be abandoned.
//!
//! A call into librbd cannot be cancelled, and on a cluster that hangs it may last for minutes. So it runs on a
//! thread of its own, never on a worker of tokio nor in tokio's pool of blocking threads, which others need. Who waits
//! gives up at a deadline; the thread keeps its slot until the library lets go of it. When every slot is held by a
//! call that was given up, further calls fail at once: nobody waits for what does not come, and nothing grows.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::{
    sync::{Semaphore, oneshot},
    time::{Instant, timeout_at},
};

use super::errors::no_answer;
use crate::store::{StoreError, StoreErrorKind};

#[derive(Debug, Clone)]
pub(super) struct Threads {
    slots: Arc<Semaphore>,
    max: usize,
    stuck: Arc<AtomicUsize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    GivenUp,
    Ended,
}

/// Of one call; settled under a lock, so that it is counted as stuck exactly while it is.
struct Call {
    phase: Mutex<Phase>,
    stuck: Arc<AtomicUsize>,
}

impl Call {
    fn turn(&self, next: Phase) {
        let mut phase = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        match (*phase, next) {
            (Phase::Running, Phase::GivenUp) => {
                self.stuck.fetch_add(1, Ordering::Relaxed);
            }
            (Phase::GivenUp, Phase::Ended) => {
                self.stuck.fetch_sub(1, Ordering::Relaxed);
            }
            _ => {}
        }
        if *phase != Phase::Ended {
            *phase = next;
        }
    }
}

/// Ends the call also when the job panics.
struct Ending(Arc<Call>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.turn(Phase::Ended);
    }
}

impl Threads {
    pub fn new(max: usize) -> Self {
        Self { slots: Arc::new(Semaphore::new(max)), max, stuck: Arc::default() }
    }

    /// Runs `job` on a thread of its own; gives up after `limit`, waiting for a slot included.
    pub async fn run<T, F>(&self, what: &'static str, limit: Duration, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T, StoreError> + Send + 'static,
    {
        if self.stuck.load(Ordering::Relaxed) >= self.max {
            return Err(no_answer(what));
        }
        let deadline = Instant::now() + limit;
        let slot = match timeout_at(deadline, Arc::clone(&self.slots).acquire_owned()).await {
            Ok(Ok(slot)) => slot,
            _ => return Err(no_answer(what)),
        };
        let call = Arc::new(Call { phase: Mutex::new(Phase::Running), stuck: Arc::clone(&self.stuck) });
        let ending = Ending(Arc::clone(&call));
        let (sender, answer) = oneshot::channel();
        let started = thread::Builder::new().name(format!("rbd-{what}")).spawn(move || {
            let result = job();
            // The slot is free again before the one who waits goes on.
            drop((ending, slot));
            let _ = sender.send(result);
        });
        if let Err(e) = started {
            let text = format!("{what}: no thread: {e}");
            return Err(StoreError::temporary(StoreErrorKind::Unavailable, text));
        }
        match timeout_at(deadline, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(StoreError::temporary(StoreErrorKind::Unexpected, format!("{what}: the call was lost"))),
            Err(_) => {
                call.turn(Phase::GivenUp);
                Err(no_answer(what))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn stuck_calls_keep_their_slots_and_the_rest_fails_at_once() {
        let threads = Threads::new(2);
        let mut gates = Vec::new();
        for _ in 0..2 {
            let (gate, wait) = mpsc::channel::<()>();
            gates.push(gate);
            let error = threads.run("read", SHORT, move || Ok(wait.recv().ok())).await.expect_err("hangs");
            assert_eq!((error.kind, error.temporary), (StoreErrorKind::Unavailable, true));
        }
        let begun = Instant::now();
        threads.run("read", LONG, || Ok(())).await.expect_err("no slot");
        assert!(begun.elapsed() < LONG / 2, "waited for a slot that does not come");
        gates.pop();
        while threads.stuck.load(Ordering::Relaxed) > 1 {
            tokio::task::yield_now().await;
        }
        assert_eq!(threads.run("read", LONG, || Ok(7)).await.expect("a slot is free"), 7);
    }

    #[tokio::test]
    async fn a_busy_lane_is_waited_for() {
        let threads = Threads::new(1);
        let slow = threads.run("slow", LONG, || {
            thread::sleep(SHORT);
            Ok(1)
        });
        let (one, two) = tokio::join!(slow, threads.run("next", LONG, || Ok(2)));
        assert_eq!((one.expect("done"), two.expect("done")), (1, 2));
    }

    #[tokio::test]
    async fn a_panic_frees_the_slot() {
        let threads = Threads::new(1);
        let lost = threads.run::<(), _>("bad", LONG, || panic!("a test")).await.expect_err("lost");
        assert_eq!(lost.kind, StoreErrorKind::Unexpected);
        threads.run("good", LONG, || Ok(())).await.expect("the slot is free");
    }
}
