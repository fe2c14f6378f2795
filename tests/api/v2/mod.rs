//! Folders mirror URLs.

mod actions;
mod images;
mod info;
mod members;
mod schemas;
