//! What the shipped policies say, as one table.

mod lists;
mod matrix;
