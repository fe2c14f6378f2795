//! Which stores a caller may know of, and whose copies they may read.

use std::{cmp::Reverse, collections::BTreeSet};

use super::{Image, Location};
use crate::{
    app::App,
    authz::{self, Action, Resource},
    config::StoreState,
    context::Context,
    error::{Error, Kind, Result},
    store::Place,
};

/// Ids of the stores that the caller may know of. To everybody else, a store is one that is not configured; and one
/// that is not configured is known to nobody, whatever a row says.
///
/// # Errors
/// `Unavailable` when a policy errors.
pub fn known_stores(app: &App, ctx: &Context) -> Result<BTreeSet<String>> {
    let mut known = BTreeSet::new();
    for store in app.stores.iter() {
        if authz::allows(ctx, Action::SeeStore, Resource::Store(&store.facts(), None))? {
            known.insert(store.id().to_owned());
        }
    }
    Ok(known)
}

/// Refuses a store that the caller may not know of with the words for one that is not there. The operator finds the
/// denial by the id of the request.
pub(super) fn check_known(app: &App, ctx: &Context, store: &str, kind: Kind) -> Result<()> {
    let unknown = || Error::new(kind, format!("Store {store} is not configured."));
    let entry = app.stores.get(store).ok_or_else(unknown)?;
    authz::check(ctx, Action::SeeStore, Resource::Store(&entry.facts(), None))
        .map(drop)
        .map_err(|e| e.hidden_as(unknown()))
}

/// The copies of an image in stores that the caller may read from.
///
/// # Errors
/// `Forbidden` when policy permits none of them.
pub(super) fn readable<'a>(app: &App, ctx: &Context, image: &'a Image) -> Result<Vec<&'a Location>> {
    let mut copies = Vec::with_capacity(image.locations.len());
    let mut denial = None;
    for location in &image.locations {
        let Some(entry) = app.stores.get(&location.store) else {
            tracing::error!(image.id, store = location.store, "the copy lies in a store that is not configured");
            continue;
        };
        match authz::check(ctx, Action::ReadStore, Resource::Store(&entry.facts(), Some(image))) {
            Ok(_) => copies.push(location),
            Err(e) if e.kind() == Kind::Forbidden => denial = Some(e),
            Err(e) => return Err(e),
        }
    }
    match denial {
        Some(denial) if copies.is_empty() => Err(denial),
        _ => Ok(copies),
    }
}

/// Copies in the order in which they are to be read: stores that answer before those that are down, wishes before all
/// others, stores that stay before one that is being emptied, then by weight and by how busy they are.
pub(crate) fn ranked(app: &App, copies: &[&Location], prefer: &[String]) -> Vec<Place> {
    let mut places = Vec::with_capacity(copies.len());
    for location in copies {
        let Some(entry) = app.stores.get(&location.store) else { continue };
        let figures = entry.figures();
        let wish = prefer.iter().position(|p| *p == location.store).unwrap_or(prefer.len());
        let rank = (
            !figures.healthy,
            wish,
            figures.state == StoreState::Draining,
            Reverse(entry.config().weight),
            figures.in_flight,
        );
        places.push((rank, (entry, location.url.clone())));
    }
    places.sort_by_key(|(rank, _)| *rank);
    places.into_iter().map(|(_, place)| place).collect()
}
