//! Fanlight: an image service for clouds whose rules are not in its code.

pub mod authz;
pub mod config;
pub mod context;
pub mod db;
pub mod error;
pub mod image;
pub mod notify;
pub mod quota;
pub mod rules;
pub mod store;

pub use error::{Error, Kind, Result};
