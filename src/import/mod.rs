//! What an operator of Glance brings along: rules of oslo.policy and property protections, turned into policies.
//!
//! The result is proven, not trusted: random questions are answered by the original and by the policies.

mod check;
mod condition;
mod convert;
mod evaluate;
mod protections;
mod prove;
mod rules;
mod write;

pub use check::Check;
pub use protections::{Mode, protections};
pub use prove::{Finding, Stricter, prove};
pub use rules::{Rule, Rules};
pub use write::{Files, Outcome, PROPERTIES, write};

#[cfg(test)]
mod tests;
