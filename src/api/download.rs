//! The body of a download: read one chunk ahead of the client, and cut off when it cannot be whole.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc::{self, Receiver, Sender};

use super::ranges::Part;
use crate::{
    image::{Download, Receipt},
    store::Reader,
};

/// Bytes of one read: large enough that a read costs little against its copy, small enough that many slow downloads
/// at a time do not fill the memory.
const CHUNK: u64 = 512 << 10;

/// Why a download ends before its end. The connection is cut then, so that no client takes a part for the whole.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub(super) struct Broken(&'static str);

/// Data on its way out.
pub(super) struct Outgoing {
    chunks: Receiver<Result<Bytes, Broken>>,
    left: u64,
    length: u64,
    receipt: Option<Receipt>,
}

impl Outgoing {
    /// Begins to read `part`. A client that takes nothing for longer than `idle` loses its reader.
    pub fn start(download: Download, part: Part, idle: Duration) -> Self {
        let Download { reader, receipt, .. } = download;
        let (sender, chunks) = mpsc::channel(1);
        tokio::spawn(read(reader, part, sender, idle));
        Self { chunks, left: part.len(), length: part.len(), receipt: Some(receipt) }
    }
}

/// Reads while the channel takes: one chunk waits in it, one in hand.
async fn read(mut reader: Box<dyn Reader>, part: Part, sender: Sender<Result<Bytes, Broken>>, idle: Duration) {
    let mut at = part.start;
    while at < part.end {
        let want = CHUNK.min(part.end - at);
        let chunk = match reader.read_at(at, usize::try_from(want).unwrap_or(usize::MAX)).await {
            Ok(chunk) if chunk.is_empty() || chunk.len() as u64 > want => {
                tracing::error!(at, got = chunk.len(), "the store gave another amount of data than there is");
                Err(Broken("the store gave a wrong amount of data"))
            }
            Ok(chunk) => Ok(chunk),
            Err(error) => {
                tracing::error!(at, %error, "the store failed in the middle of a download");
                Err(Broken("the store failed"))
            }
        };
        let failed = chunk.is_err();
        at += chunk.as_ref().map_or(0, |c| c.len() as u64);
        match tokio::time::timeout(idle, sender.send(chunk)).await {
            Ok(Ok(())) if !failed => {}
            // Told, or nobody listens any more.
            Ok(_) => return,
            Err(_) => {
                tracing::info!(at, "the client took no data for too long");
                return;
            }
        }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let next = std::task::ready!(self.chunks.poll_recv(cx));
        Poll::Ready(Some(match next {
            Some(Ok(chunk)) => {
                self.left = self.left.saturating_sub(chunk.len() as u64);
                Ok(Frame::data(chunk))
            }
            Some(Err(broken)) => Err(broken),
            None => Err(Broken("the reader was given up")),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        if let Some(receipt) = self.receipt.take() {
            receipt.close(self.length - self.left, self.length);
        }
    }
}
