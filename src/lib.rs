//! Fanlight: an image service for clouds whose rules are not in its code.

pub mod authz;
pub mod cli;
pub mod config;
pub mod context;
pub mod db;
pub mod error;
pub mod identity;
pub mod image;
pub mod notify;
pub mod rules;
pub mod store;
pub mod telemetry;

pub use error::{Error, Kind, Result};
