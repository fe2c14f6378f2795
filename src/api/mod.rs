//! The Images API v2 over HTTP: routes, wire types and status codes, and nothing else.
//!
//! A handler parses, calls one use case of `image`, and renders. No other module knows HTTP.

pub mod admin;
mod admin_stores;
mod attributes;
mod conditional;
mod copies;
mod create;
mod download;
mod error;
mod explain;
mod extract;
mod gate;
mod image_data;
mod images;
mod info;
mod locations;
mod members;
mod patch;
mod query;
mod ranges;
mod request_id;
mod router;
mod schemas;
mod stores;
mod tags;
mod versions;
mod wire;

pub use router::router;
