//! The API as clients meet it; files lie as URLs do.

mod bugs;
mod discovery;
mod race;
mod random;
mod v2;
