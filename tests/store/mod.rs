//! Back ends against the common suite, and each one's own cases.

mod binary;
mod file;
#[cfg(feature = "rbd")]
mod rbd;
mod reload;
mod scrub;
mod states;
mod stores;

use fanlight::{
    authz::Permit,
    store::{Store, conformance},
};

/// Fails with every check that did not hold.
async fn conforms(store: &dyn Store) {
    let results = conformance::run(store, &Permit::system("test")).await;
    assert!(results.len() > 20, "the suite ran");
    let failed: Vec<_> =
        results.iter().filter_map(|(name, r)| r.as_ref().err().map(|e| format!("{name}: {e}"))).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}
