//! Faults caused on purpose, and what they leave behind: nothing.

mod activate;
mod copy;
mod cut;
mod kill;
mod lease;
