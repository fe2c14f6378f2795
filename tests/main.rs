//! The one test binary.

mod format;
mod store;
