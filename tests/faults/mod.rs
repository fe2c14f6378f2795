//! Faults caused on purpose, and what they leave behind: nothing.

mod activate;
mod cut;
mod kill;
mod lease;
