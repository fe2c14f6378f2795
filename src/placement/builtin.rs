//! The ranking that needs no plug-in: weight, then the share of free room that uploads under way leave, then the id.

use std::cmp::Reverse;

use super::{Candidate, Verdict, accepted};

/// What an upload under way costs, of 1000.
const UPLOAD: u128 = 5;

/// Accepts every candidate; the best gets 1000 points and each further one fewer.
pub(super) fn rank(open: &[&Candidate]) -> Vec<Verdict> {
    let mut order = open.to_vec();
    order.sort_by(|a, b| {
        (Reverse(a.weight), Reverse(share(a)), &a.facts.id).cmp(&(Reverse(b.weight), Reverse(share(b)), &b.facts.id))
    });
    let judge = |(place, c): (usize, &&Candidate)| {
        let score = 1000_u32.saturating_sub(u32::try_from(place).unwrap_or(u32::MAX));
        accepted(&c.facts.id, score, "built-in", &format!("weight {}, {} of 1000 free", c.weight, share(c)))
    };
    order.iter().enumerate().map(judge).collect()
}

/// Free room of 1000, less what the uploads under way may still need.
fn share(c: &Candidate) -> u128 {
    let free = (u128::from(c.free) * 1000).checked_div(u128::from(c.total)).unwrap_or(0);
    free.saturating_sub(UPLOAD.saturating_mul(c.in_flight.into()))
}
