//! The one test binary: one link instead of many. Folders mirror what they test; `api` mirrors URLs.

mod store;
mod support;
