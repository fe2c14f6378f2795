//! Hashes of a stream, each on a thread of its own, beside the write to the store.
//!
//! A stream is as fast as its slowest hash instead of the sum of all. Chunks are counted references to the same
//! memory; the channels are short, so a slow hash holds the stream back and memory stays bounded. Small chunks travel
//! together: a client that sends chunked data makes them as small as it likes, and each hand-over wakes a thread.

use std::thread;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use digest::{Digest, DynDigest};
use tokio::sync::{mpsc, oneshot};

use crate::error::{Error, Result};

/// Batches that wait for one hash.
const QUEUE: usize = 8;
/// Bytes and chunks that make a batch.
const BATCH: usize = 256 << 10;
const BATCH_CHUNKS: usize = 64;

/// The hashes of one stream under way. Dropping it ends its threads.
#[derive(Debug)]
pub struct Digester {
    algorithm: &'static str,
    md5: Lane,
    /// `None` when the configured hash is md5 too.
    second: Option<Lane>,
    batch: Vec<Bytes>,
    batch_len: usize,
}

/// The hashes of a stream, in hex.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digests {
    /// For `checksum`.
    pub md5: String,
    /// For `os_hash_algo`.
    pub algo: String,
    /// For `os_hash_value`.
    pub value: String,
}

/// One hash and its thread.
#[derive(Debug)]
struct Lane {
    batches: mpsc::Sender<Vec<Bytes>>,
    result: oneshot::Receiver<String>,
}

/// Characters of a hash in hex; `None` for one that is not known.
pub fn hex_len(algorithm: &str) -> Option<usize> {
    hasher(algorithm).ok().map(|(_, hash)| 2 * hash.output_size())
}

/// The hash of this name.
fn hasher(algorithm: &str) -> Result<(&'static str, Box<dyn DynDigest + Send>)> {
    Ok(match algorithm {
        "md5" => ("md5", Box::new(md5::Md5::new())),
        "sha1" => ("sha1", Box::new(sha1::Sha1::new())),
        "sha256" => ("sha256", Box::new(sha2::Sha256::new())),
        "sha512" => ("sha512", Box::new(sha2::Sha512::new())),
        _ => {
            let text = format!("hash `{}` is not one of sha512, sha256, sha1, md5", algorithm.escape_debug());
            return Err(Error::invalid(text));
        }
    })
}

/// Whether [`Digester::start`] knows the hash.
pub fn is_known(algorithm: &str) -> bool {
    hasher(algorithm).is_ok()
}

impl Digester {
    /// Begins md5 and `algorithm`.
    ///
    /// # Errors
    /// `Invalid` for a hash that is not known; `Internal` when the system gives no thread.
    pub fn start(algorithm: &str) -> Result<Self> {
        let (algorithm, second) = hasher(algorithm)?;
        let second = if algorithm == "md5" { None } else { Some(Lane::start(algorithm, second)?) };
        let (name, md5) = hasher("md5")?;
        Ok(Self { algorithm, md5: Lane::start(name, md5)?, second, batch: Vec::new(), batch_len: 0 })
    }

    /// Adds a chunk; waits while a hash is behind.
    pub async fn update(&mut self, chunk: Bytes) {
        self.batch_len = self.batch_len.saturating_add(chunk.len());
        self.batch.push(chunk);
        if self.batch_len >= BATCH || self.batch.len() >= BATCH_CHUNKS {
            self.send().await;
        }
    }

    async fn send(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        self.batch_len = 0;
        if let Some(lane) = &self.second {
            lane.feed(batch.clone()).await;
        }
        self.md5.feed(batch).await;
    }

    /// Waits for the hashes.
    ///
    /// # Errors
    /// `Internal` when a thread was lost.
    pub async fn finish(mut self) -> Result<Digests> {
        self.send().await;
        let Self { algorithm, md5, second, .. } = self;
        // Both channels close before either is waited for.
        let (md5, second) = (md5.close(), second.map(Lane::close));
        let lost = |_| Error::internal("a hash thread was lost");
        let md5 = md5.await.map_err(lost)?;
        let value = match second {
            Some(result) => result.await.map_err(lost)?,
            None => md5.clone(),
        };
        Ok(Digests { md5, algo: algorithm.to_owned(), value })
    }
}

impl Lane {
    fn start(name: &'static str, mut hasher: Box<dyn DynDigest + Send>) -> Result<Self> {
        let (batches, mut incoming) = mpsc::channel::<Vec<Bytes>>(QUEUE);
        let (done, result) = oneshot::channel();
        let work = move || {
            while let Some(batch) = incoming.blocking_recv() {
                batch.iter().for_each(|chunk| hasher.update(chunk));
            }
            // Nobody waits any more when the stream was given up.
            let _ = done.send(HEXLOWER.encode(&hasher.finalize()));
        };
        thread::Builder::new().name(format!("hash-{name}")).spawn(work).map_err(Error::internal)?;
        Ok(Self { batches, result })
    }

    async fn feed(&self, batch: Vec<Bytes>) {
        // A lost thread shows in `finish`, where the result is missing.
        let _ = self.batches.send(batch).await;
    }

    fn close(self) -> oneshot::Receiver<String> {
        self.result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn digests(algorithm: &str, chunks: &[&'static [u8]]) -> Digests {
        let mut digester = Digester::start(algorithm).expect("known");
        for chunk in chunks {
            digester.update(Bytes::from_static(chunk)).await;
        }
        digester.finish().await.expect("threads live")
    }

    #[tokio::test]
    async fn known_answers() {
        let md5 = "900150983cd24fb0d6963f7d28e17f72";
        let answers = [
            ("md5", md5),
            ("sha1", "a9993e364706816aba3e25717850c26c9cd0d89d"),
            ("sha256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                "sha512",
                "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                 2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            ),
        ];
        for (algorithm, value) in answers {
            let got = digests(algorithm, &[b"a", b"", b"bc"]).await;
            assert_eq!((got.md5.as_str(), got.algo.as_str(), got.value.as_str()), (md5, algorithm, value));
        }
    }

    #[tokio::test]
    async fn nothing_has_a_hash_too() {
        assert_eq!(digests("sha512", &[]).await.md5, "d41d8cd98f00b204e9800998ecf8427e");
    }

    #[tokio::test]
    async fn it_does_not_matter_how_the_data_are_cut() {
        const DATA: &[u8] = &[7; 3 * BATCH + 1];
        let whole = digests("sha512", &[DATA]).await;
        for len in [1000, BATCH / BATCH_CHUNKS, BATCH - 1, BATCH, BATCH + 1] {
            let cut: Vec<_> = DATA.chunks(len).collect();
            assert_eq!(digests("sha512", &cut).await, whole, "{len}");
        }
    }

    #[test]
    fn unknown_hashes_are_refused() {
        for name in ["", "SHA512", "crc32", "sha512\n"] {
            assert_eq!(Digester::start(name).expect_err(name).kind(), crate::Kind::Invalid);
        }
    }

    #[tokio::test]
    async fn dropping_ends_the_threads() {
        let digester = Digester::start("sha256").expect("known");
        let Digester { md5, second, .. } = digester;
        let second = second.expect("not md5");
        drop((md5.batches, second.batches));
        // The threads answer because their channels closed; they would hang here otherwise.
        assert!(md5.result.await.is_ok() && second.result.await.is_ok());
    }
}
