//! Rules change under load.
