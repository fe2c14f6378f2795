//! What the database knows of stores: the states that the operator gave them, and what refers to them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Db,
    copies::OPEN,
    row::{get, now, unsigned},
    tx::{Fail, Tx, args, transaction},
};
use crate::{authz::Permit, config::StoreState, error::Result};

/// Rows that refer to a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Holds {
    /// Images with a copy there.
    pub images: u64,
    /// Those of them with no other copy.
    pub only_here: u64,
    /// Objects that wait to be deleted.
    pub deletions: u64,
    /// Uploads under way.
    pub uploads: u64,
    /// Copies under way into it.
    pub copies: u64,
}

impl Holds {
    /// Nothing refers to the store.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl std::fmt::Display for Holds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { images, only_here, deletions, uploads, copies } = self;
        write!(f, "{images} images ({only_here} of them nowhere else), {deletions} deletions, {uploads} uploads and ")?;
        write!(f, "{copies} copies under way")
    }
}

impl Db {
    /// The states that differ from the configuration, by store id.
    ///
    /// # Errors
    /// `Unavailable` when the database is.
    pub async fn store_states(&self) -> Result<BTreeMap<String, StoreState>> {
        let rows = self.rows(self.text("SELECT store, state FROM store_states"), args![]).await?;
        let mut states = BTreeMap::new();
        for row in &rows {
            let (store, word): (String, String) = (get(row, 0)?, get(row, 1)?);
            match StoreState::ALL.into_iter().find(|state| state.as_str() == word) {
                Some(state) => drop(states.insert(store, state)),
                None => tracing::error!(store.id = store, state = word, "this version does not know the store's state"),
            }
        }
        Ok(states)
    }

    /// Gives a store a state that outlives restarts and holds for every gateway; `None` is the configured one.
    ///
    /// # Errors
    /// `Unavailable` when the database is.
    pub async fn set_store_state(&self, p: &Permit, store: &str, state: Option<StoreState>) -> Result<()> {
        tracing::info!(store.id = store, state = state.map(StoreState::as_str), decision = p.decision(), "store state");
        transaction!(self, tx => write_state(&mut tx, store, state))
    }

    /// What refers to a store.
    ///
    /// # Errors
    /// `Unavailable` when the database is.
    pub async fn store_holds(&self, store: &str) -> Result<Holds> {
        let sql = format!(
            "SELECT (SELECT COUNT(DISTINCT image_id) FROM image_locations WHERE store = ?), \
            (SELECT COUNT(DISTINCT l.image_id) FROM image_locations l WHERE l.store = ? AND NOT EXISTS \
            (SELECT 1 FROM image_locations o WHERE o.image_id = l.image_id AND o.store <> l.store)), \
            (SELECT COUNT(*) FROM deletions WHERE store = ?), (SELECT COUNT(*) FROM uploads WHERE store = ?), \
            (SELECT COUNT(*) FROM copies WHERE store = ? AND state IN {OPEN})"
        );
        let Some(row) = self.row(self.text(&sql), args![store, store, store, store, store]).await? else {
            return Ok(Holds::default());
        };
        Ok(Holds {
            images: unsigned(get(&row, 0)?)?,
            only_here: unsigned(get(&row, 1)?)?,
            deletions: unsigned(get(&row, 2)?)?,
            uploads: unsigned(get(&row, 3)?)?,
            copies: unsigned(get(&row, 4)?)?,
        })
    }

    /// Every store that an image lies in, with the number of images.
    ///
    /// # Errors
    /// `Unavailable` when the database is.
    pub async fn stores_in_use(&self) -> Result<BTreeMap<String, u64>> {
        let sql = "SELECT store, COUNT(*) FROM image_locations GROUP BY store";
        let rows = self.rows(self.text(sql), args![]).await?;
        rows.iter().map(|row| Ok((get(row, 0)?, unsigned(get(row, 1)?)?))).collect()
    }
}

async fn write_state(tx: &mut Tx, store: &str, state: Option<StoreState>) -> Result<(), Fail> {
    let Some(state) = state else {
        tx.run("DELETE FROM store_states WHERE store = ?", args![store]).await?;
        return Ok(());
    };
    let ensure = tx.dialect.ensure_store_state();
    tx.run(ensure, args![store, state.as_str(), now()]).await?;
    let update = "UPDATE store_states SET state = ?, updated_at = ? WHERE store = ?";
    tx.run(update, args![state.as_str(), now(), store]).await?;
    Ok(())
}
