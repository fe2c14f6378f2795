//! What stores should hold, page by page, for the scrubber.
//!
//! An object is spoken for by its upload or copy, then by a location, then by a note that it is to be deleted, and each step
//! is one transaction. Read in this order, whatever moves on meanwhile is seen at least once.

use std::collections::HashSet;

use super::{
    Db,
    copies::OPEN,
    row::{get, unsigned},
    tx::{Arg, args},
};
use crate::error::Result;

/// Rows of a page.
const PAGE: i64 = 1000;

/// A copy of an image, as a store should hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Location id.
    pub id: String,
    /// The image.
    pub image_id: String,
    /// Where in the store.
    pub url: String,
    /// Bytes.
    pub size: Option<u64>,
}

/// An object that something speaks for although no image has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Row id.
    pub id: String,
    /// The image.
    pub image_id: String,
}

impl Db {
    /// A page of the copies in a store, after the location `after`; an empty page is the end.
    ///
    /// # Errors
    /// `Unavailable` when the database is.
    pub async fn held(&self, store: &str, after: &str) -> Result<Vec<Held>> {
        let sql = "SELECT l.id, l.image_id, l.url, i.size FROM image_locations l JOIN images i ON i.id = l.image_id \
            WHERE l.store = ? AND l.id > ? ORDER BY l.id LIMIT ?";
        let rows = self.rows(self.text(sql), args![store, after, PAGE]).await?;
        rows.iter()
            .map(|row| {
                let size = get::<Option<i64>>(row, 3)?.map(unsigned).transpose()?;
                Ok(Held { id: get(row, 0)?, image_id: get(row, 1)?, url: get(row, 2)?, size })
            })
            .collect()
    }

    /// A page of the uploads into a store.
    ///
    /// # Errors
    /// `Unavailable` when the database is.
    pub async fn uploads_into(&self, store: &str, after: &str) -> Result<Vec<Claim>> {
        self.claims("SELECT id, image_id FROM uploads WHERE store = ? AND id > ? ORDER BY id LIMIT ?", store, after)
            .await
    }

    /// A page of the copies on their way into a store.
    ///
    /// # Errors
    /// `Unavailable` when the database is.
    pub async fn copies_into(&self, store: &str, after: &str) -> Result<Vec<Claim>> {
        let sql = format!(
            "SELECT id, image_id FROM copies WHERE store = ? AND id > ? AND state IN {OPEN} ORDER BY id LIMIT ?"
        );
        self.claims(&sql, store, after).await
    }

    /// A page of what is to be deleted from a store.
    ///
    /// # Errors
    /// `Unavailable` when the database is.
    pub async fn deletions_from(&self, store: &str, after: &str) -> Result<Vec<Claim>> {
        self.claims("SELECT id, image_id FROM deletions WHERE store = ? AND id > ? ORDER BY id LIMIT ?", store, after)
            .await
    }

    async fn claims(&self, sql: &str, store: &str, after: &str) -> Result<Vec<Claim>> {
        let rows = self.rows(self.text(sql), args![store, after, PAGE]).await?;
        rows.iter().map(|row| Ok(Claim { id: get(row, 0)?, image_id: get(row, 1)? })).collect()
    }

    /// Which of these are ids of images that are not deleted.
    ///
    /// # Errors
    /// `Unavailable` when the database is.
    pub async fn images_among(&self, ids: &[&str]) -> Result<HashSet<String>> {
        let mut found = HashSet::new();
        for page in ids.chunks(500) {
            let marks = vec!["?"; page.len()].join(", ");
            let sql = self.text(&format!("SELECT id FROM images WHERE deleted = 0 AND id IN ({marks})"));
            for row in &self.rows(sql, page.iter().map(|id| Arg::from(*id)).collect()).await? {
                found.insert(get(row, 0)?);
            }
        }
        Ok(found)
    }

    /// Whether anything speaks for the object `name` of a store: an image of this id, an upload, a copy, a note.
    ///
    /// # Errors
    /// `Unavailable` when the database is.
    pub async fn is_claimed(&self, store: &str, name: &str) -> Result<bool> {
        let sql = format!(
            "SELECT (SELECT COUNT(*) FROM uploads WHERE store = ? AND image_id = ?) \
             + (SELECT COUNT(*) FROM copies WHERE store = ? AND image_id = ? AND state IN {OPEN}) \
             + (SELECT COUNT(*) FROM images WHERE id = ? AND deleted = 0) \
             + (SELECT COUNT(*) FROM image_locations WHERE store = ? AND image_id = ?) \
             + (SELECT COUNT(*) FROM deletions WHERE store = ? AND image_id = ?)"
        );
        let row = self.row(self.text(&sql), args![store, name, store, name, name, store, name, store, name]).await?;
        // No answer is no proof that nobody does.
        row.map_or(Ok(true), |row| Ok(get::<i64>(&row, 0)? > 0))
    }
}
