//! What the database says of the objects of one store, at one time.

use std::collections::{HashMap, HashSet};

use crate::{
    db::{Claim, Db},
    error::Result,
    store::Entry,
};

/// Every object of a store that the database speaks of, by its name.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// Data of images.
    pub expected: HashMap<String, Expected>,
    /// Of an upload or a copy under way, or waiting to be deleted: there or not, in whatever state.
    pub in_motion: HashSet<String>,
    /// Copies whose URL is not one of this store's.
    pub astray: Vec<Expected>,
}

/// The data of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expected {
    pub image: String,
    /// Location id.
    pub location: String,
    pub url: String,
    pub size: Option<u64>,
}

impl Claims {
    /// Reads page by page, in the order in which an object goes from hand to hand.
    pub async fn read(db: &Db, entry: &Entry) -> Result<Self> {
        let mut claims = Self::default();
        let mut after = String::new();
        while claims.move_on(db.uploads_into(entry.id(), &after).await?, &mut after) {}
        after.clear();
        while claims.move_on(db.copies_into(entry.id(), &after).await?, &mut after) {}
        after.clear();
        loop {
            let page = db.held(entry.id(), &after).await?;
            let Some(last) = page.last() else { break };
            after.clone_from(&last.id);
            for held in page {
                let name = entry.store().name_of(&held.url);
                let it = Expected { image: held.image_id, location: held.id, url: held.url, size: held.size };
                match name {
                    Ok(name) => drop(claims.expected.insert(name, it)),
                    Err(_) => claims.astray.push(it),
                }
            }
        }
        after.clear();
        while claims.move_on(db.deletions_from(entry.id(), &after).await?, &mut after) {}
        Ok(claims)
    }

    /// Takes a page; false at the end.
    fn move_on(&mut self, page: Vec<Claim>, after: &mut String) -> bool {
        let Some(last) = page.last() else { return false };
        after.clone_from(&last.id);
        self.in_motion.extend(page.into_iter().map(|claim| claim.image_id));
        true
    }

    /// Whether anything speaks for the object.
    pub fn knows(&self, name: &str) -> bool {
        self.expected.contains_key(name)
            || self.in_motion.contains(name)
            || self.astray.iter().any(|copy| copy.image == name)
    }
}
