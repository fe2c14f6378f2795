//! The one test binary: one link instead of many. Folders mirror what they test; `api` mirrors URLs. The modules are
//! marked as tests so that helpers beside the tests may fail loudly too.

#[cfg(test)]
mod api;
#[cfg(test)]
mod authz;
#[cfg(test)]
mod copies;
#[cfg(test)]
mod db;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod format;
#[cfg(test)]
mod store;
#[cfg(test)]
mod support;
#[cfg(test)]
mod wasm;
