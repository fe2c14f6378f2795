//! Reading data that is in a store already, and comparing it with what is said of it.

use std::time::Duration;

use super::Image;
use crate::{
    digest::{Digester, Digests, hex_len},
    error::{Error, Result},
    store::Reader,
};

/// Bytes of one read.
const PIECE: usize = 4 << 20;

/// Hashes that the data must have, in lower-case hex.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validation {
    /// md5.
    pub checksum: Option<String>,
    /// Another hash: its name and its value.
    pub hash: Option<(String, String)>,
}

impl Validation {
    /// What is wrong with the form of a hash.
    ///
    /// # Errors
    /// The reason.
    pub fn check_form(&self) -> std::result::Result<(), String> {
        let md5 = self.checksum.iter().map(|value| ("checksum", "md5", value));
        let hash = self.hash.iter().map(|(algorithm, value)| ("os_hash_value", algorithm.as_str(), value));
        for (name, algorithm, value) in md5.chain(hash) {
            if !value.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(format!("{name} is not a valid hexadecimal value"));
            }
            let length = hex_len(algorithm).ok_or_else(|| format!("os_hash_algo {algorithm} is not known"))?;
            if value.len() != length {
                return Err(format!("{name} is not the correct size for {algorithm} (should be {} bytes)", length / 2));
            }
        }
        Ok(())
    }

    /// Checks what a client of the old API says of an image: only a queued image takes new hashes, and then of the
    /// configured kind.
    ///
    /// # Errors
    /// `Conflict`.
    pub(super) fn check_image(&self, image: &Image, algorithm: &str) -> Result<()> {
        let hash = self.hash.as_ref();
        let given = [
            ("checksum", self.checksum.as_ref(), &image.checksum),
            ("os_hash_algo", hash.map(|h| &h.0), &image.os_hash_algo),
            ("os_hash_value", hash.map(|h| &h.1), &image.os_hash_value),
        ];
        let mut new = Vec::new();
        for (name, given, current) in given {
            match (given, current) {
                (Some(given), Some(current)) if given != current => {
                    return Err(Error::conflict(format!("{name} is already set with a different value")));
                }
                (Some(_), None) => new.push(name),
                _ => {}
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        if image.status != super::Status::Queued {
            let text = "may only be provided when image status is 'queued'";
            return Err(Error::conflict(format!("New value(s) for {} {text}", new.join(", "))));
        }
        if let Some((given, _)) = hash.filter(|h| h.0 != algorithm) {
            return Err(Error::conflict(format!("os_hash_algo must be {algorithm}, not {given}")));
        }
        self.check_form().map_err(Error::conflict)
    }

    /// Compares with what was read.
    ///
    /// # Errors
    /// `Invalid` when it is not the same.
    pub(super) fn compare(&self, read: &Digests) -> Result<()> {
        let differs = |name: &str| Error::invalid(format!("The data at the location does not have the given {name}."));
        if self.checksum.as_ref().is_some_and(|given| *given != read.md5) {
            return Err(differs("checksum"));
        }
        if self.hash.as_ref().is_some_and(|(algorithm, value)| *algorithm != read.algo || *value != read.value) {
            return Err(differs("os_hash_value"));
        }
        Ok(())
    }
}

/// Reads all of an object.
pub(super) async fn read_all(reader: &mut dyn Reader, algorithm: &str) -> Result<Digests> {
    let mut digester = Digester::start(algorithm)?;
    let (size, mut at) = (reader.size(), 0);
    while at < size {
        let piece = reader.read_at(at, PIECE).await?;
        if piece.is_empty() {
            return Err(Error::unavailable("The data at the location cannot be read.", Duration::from_secs(10)));
        }
        at += piece.len() as u64;
        digester.update(piece).await;
    }
    digester.finish().await
}
