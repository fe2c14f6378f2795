//! What an operator of Glance brings along: rules of oslo.policy and property protections, turned into policies.
//!
//! The result is proven, not trusted: random questions are answered by the original and by the policies.

mod check;
mod condition;
mod convert;
mod credentials;
mod evaluate;
mod glance;
mod names;
mod protections;
mod prove;
mod questions;
mod remarks;
mod rules;
mod target;
mod template;
mod value;
mod write;

pub use check::Check;
pub use glance::{Stricter, glance};
pub use protections::{Mode, Protections};
pub use prove::{Finding, Findings, Original, prove};
pub use remarks::{Remarks, remarks};
pub use rules::{Rule, Rules};
pub use write::{Files, Outcome, PROPERTIES, write};

#[cfg(test)]
mod tests;
