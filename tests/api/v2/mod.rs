//! Folders mirror URLs.

mod actions;
mod images;
mod info;
mod locations;
mod members;
mod schemas;
