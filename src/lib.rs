//! Fanlight: an image service for clouds whose rules are not in its code.
//!
//! Every request walks one line of layers: api → identity → image (use cases) → authz → protect → quota → placement →
//! store → db → notify. A module never calls one to its left. ARCHITECTURE.md is the map.

pub mod api;
mod app;
pub mod authz;
pub mod cli;
pub mod config;
pub mod context;
pub mod db;
pub mod digest;
pub mod error;
pub mod format;
pub mod identity;
pub mod image;
pub mod import;
pub mod jobs;
pub mod notify;
pub mod placement;
pub mod protect;
pub mod quota;
pub mod rules;
pub mod scrub;
pub mod store;
pub mod telemetry;
pub mod wasm;

pub use app::{App, Reload};
pub use error::{Error, Kind, Result};
