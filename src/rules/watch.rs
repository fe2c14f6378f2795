//! Notices that the folders have changed: told by the file system, and by looking at the content now and then, because
//! network file systems and mounted ConfigMaps do not tell.

use std::{sync::Arc, time::Duration};

use notify::{RecursiveMode, Watcher};
use tokio::{
    sync::mpsc::{Receiver, channel},
    time::{sleep, timeout},
};

use super::Rulebook;

/// A folder that is written to without a pause is taken after so many pauses all the same.
const MAX_PAUSES: u32 = 20;

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
                for folder in [&self.folders.policies, &self.folders.plugins] {
                    let _ = watcher.watch(folder, RecursiveMode::NonRecursive);
                }
            }
            if timeout(self.poll, told.recv()).await.is_ok_and(|end| end.is_none()) {
                // Without a watcher the channel is closed.
                sleep(self.poll).await;
            }
            if let Some(digest) = self.digest().await
                && Some(&digest) == self.last_seen().as_ref()
            {
                continue;
            }
            self.settle(&mut told).await;
            self.reload("folder changed").await;
        }
    }

    /// Waits until two looks, one pause apart, see the same: a file that is being written is not taken half-way.
    async fn settle(self: &Arc<Self>, told: &mut Receiver<()>) {
        let mut before = self.digest().await;
        for _ in 0..MAX_PAUSES {
            sleep(self.debounce.max(Duration::from_millis(10))).await;
            while told.try_recv().is_ok() {}
            let now = self.digest().await;
            if now == before {
                return;
            }
            before = now;
        }
    }

    async fn digest(self: &Arc<Self>) -> Option<String> {
        let book = self.clone();
        tokio::task::spawn_blocking(move || book.folders.read().ok().map(|files| files.digest())).await.ok().flatten()
    }
}
