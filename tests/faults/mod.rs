//! Faults caused on purpose, and what they leave behind: nothing.

mod cut;
mod kill;
