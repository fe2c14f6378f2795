//! What policies decide over HTTP, and how they change while requests run.

mod matrix;
mod reload;
mod shadow;
mod stores;
