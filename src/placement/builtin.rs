//! The ranking that needs no plug-in: weight, then the share of free room, then the id.

use std::cmp::Reverse;

use super::{Candidate, Verdict, accepted};

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

fn share(c: &Candidate) -> u128 {
    (u128::from(c.free) * 1000).checked_div(u128::from(c.total)).unwrap_or(0)
}
