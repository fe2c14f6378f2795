//! Data that lie in several stores, read as one: a store that fails midway is left for the next copy, at the same
//! offset. It is the same content, so the one who reads does not notice.

use std::{collections::VecDeque, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;

use super::{Entry, Reader, StoreError, StoreErrorKind};

/// Where one copy lies.
pub type Place = (Arc<Entry>, String);

/// A reader over several copies.
pub struct AnyCopy {
    size: u64,
    current: Option<(Arc<Entry>, Box<dyn Reader>)>,
    rest: VecDeque<Place>,
    /// Stores that were read, in order; the last one is read now.
    used: Vec<String>,
}

impl AnyCopy {
    /// Opens the first of `places` that answers and has `size` bytes; without a size, the first one tells it.
    ///
    /// # Errors
    /// That of the last place, or `Unavailable` when there is none.
    pub async fn open(size: Option<u64>, places: Vec<Place>) -> Result<Self, StoreError> {
        let mut rest = VecDeque::from(places);
        let mut last = StoreError::temporary(StoreErrorKind::Unavailable, "open: there is no copy in a known store");
        while let Some(place) = rest.pop_front() {
            match open(&place, size).await {
                Ok(reader) => {
                    let used = vec![place.0.id().to_owned()];
                    return Ok(Self { size: reader.size(), current: Some((place.0, reader)), rest, used });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Stores that bytes came from so far, in order.
    pub fn used(&self) -> &[String] {
        &self.used
    }

    /// Goes to the next copy; gives `failure` back when there is none.
    async fn next(&mut self, failure: StoreError) -> Result<(), StoreError> {
        let from = self.used.last().map(String::as_str).unwrap_or_default();
        tracing::error!(store = from, error = %failure, "a copy cannot be read on");
        self.current = None;
        while let Some(place) = self.rest.pop_front() {
            if let Ok(reader) = open(&place, Some(self.size)).await {
                tracing::warn!(from, store = place.0.id(), "reading goes on from another copy");
                metrics::counter!("fanlight_read_failovers_total", "store" => from.to_owned()).increment(1);
                self.used.push(place.0.id().to_owned());
                self.current = Some((place.0, reader));
                return Ok(());
            }
        }
        Err(failure)
    }
}

async fn open((entry, url): &Place, size: Option<u64>) -> Result<Box<dyn Reader>, StoreError> {
    let opened = match entry.store().open(url).await {
        Ok(reader) if size.is_none_or(|size| size == reader.size()) => return Ok(reader),
        Ok(reader) => {
            let text = format!("open: the copy has {} bytes", reader.size());
            StoreError::permanent(StoreErrorKind::Unexpected, text)
        }
        Err(error) => entry.failed(error),
    };
    tracing::error!(store = entry.id(), url, error = %opened, "a copy cannot be opened");
    Err(opened)
}

#[async_trait]
impl Reader for AnyCopy {
    fn size(&self) -> u64 {
        self.size
    }

    async fn read_at(&mut self, offset: u64, len: usize) -> Result<Bytes, StoreError> {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let want = left.min(len);
        loop {
            let Some((entry, reader)) = &mut self.current else {
                return Err(StoreError::temporary(StoreErrorKind::Unavailable, "read: every copy has failed"));
            };
            let failure = match reader.read_at(offset, len).await {
                Ok(data) if data.len() <= want && data.is_empty() == (want == 0) => return Ok(data),
                Ok(data) => {
                    let text = format!("read: {} bytes at {offset} where {want} were asked for", data.len());
                    StoreError::permanent(StoreErrorKind::Unexpected, text)
                }
                Err(error) => entry.failed(error),
            };
            self.next(failure).await?;
        }
    }
}
