//! Notices that the folders have changed: told by the file system, and by looking at the content now and then, because
//! network file systems and mounted ConfigMaps do not tell.

use std::{sync::Arc, time::Duration};

use notify::{RecursiveMode, Watcher};
use tokio::{
    sync::mpsc::{Receiver, channel},
    task::spawn_blocking,
    time::{sleep, timeout},
};

use super::{
    Removals, Rulebook,
    folder::{digest, read_policies},
};

/// A folder that is written to without a pause is taken after so many pauses all the same.
const MAX_PAUSES: u32 = 20;

/// What the folders hold, as digests; none for what cannot be read.
#[derive(Default, PartialEq, Eq)]
struct Look {
    rules: Option<String>,
    candidate: Option<String>,
}

impl Rulebook {
    /// Reloads after every change of the folders. Never returns; it ends with the task that runs it.
    pub async fn watch(self: Arc<Self>) {
        let (tell, mut told) = channel::<()>(1);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Every look at the files opens them: taken for a change, it would be followed by the next look, for ever.
            if event.is_ok_and(|e| e.kind.is_access()) {
                return;
            }
            // A full channel means that somebody told already.
            let _ = tell.try_send(());
        });
        let mut watcher = watcher.inspect_err(|error| tracing::warn!(%error, "no notifications, polling only")).ok();
        loop {
            // Again in every round: a folder that was deleted and made anew is another one.
            if let Some(watcher) = &mut watcher {
                let candidate = self.candidate_folder();
                for folder in [&self.folders.policies, &self.folders.plugins].into_iter().chain(&candidate) {
                    let _ = watcher.watch(folder, RecursiveMode::NonRecursive);
                }
            }
            if timeout(self.poll, told.recv()).await.is_ok_and(|end| end.is_none()) {
                // Without a watcher the channel is closed.
                sleep(self.poll).await;
            }
            let look = self.look().await;
            if !self.is_news(&look) {
                continue;
            }
            let look = self.settle(&mut told, look).await;
            if self.rules_are_news(look.rules.as_deref()) {
                self.reload("folder changed", Removals::Refused).await;
            }
            if self.candidate_is_news(look.candidate.as_deref()) {
                let book = self.clone();
                let _ = spawn_blocking(move || book.reload_candidate()).await;
            }
        }
    }

    /// Waits until two looks, one pause apart, see the same: a file that is being written is not taken half-way.
    async fn settle(self: &Arc<Self>, told: &mut Receiver<()>, mut before: Look) -> Look {
        for _ in 0..MAX_PAUSES {
            sleep(self.debounce.max(Duration::from_millis(10))).await;
            while told.try_recv().is_ok() {}
            let now = self.look().await;
            if now == before {
                break;
            }
            before = now;
        }
        before
    }

    fn is_news(&self, look: &Look) -> bool {
        self.rules_are_news(look.rules.as_deref()) || self.candidate_is_news(look.candidate.as_deref())
    }

    async fn look(self: &Arc<Self>) -> Look {
        let book = self.clone();
        let look = spawn_blocking(move || Look {
            rules: book.folders.read().ok().map(|files| files.digest()),
            candidate: book
                .candidate_folder()
                .and_then(|folder| read_policies(&folder).ok())
                .map(|files| digest(&files)),
        });
        look.await.unwrap_or_default()
    }
}
