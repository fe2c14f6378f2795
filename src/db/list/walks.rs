//! What a list shows, cut into disjoint walks: all that is public, the caller's own, what is shared with the caller …
//! Each starts from an index of its own.

use std::collections::BTreeSet;

use sea_query::{Cond, Expr, ExprTrait, JoinType, Query, SelectStatement};

use super::{col, condition};
use crate::{
    db::dialect::Dialect,
    image::{
        MemberStatus, Visibility,
        query::{Condition, Stance},
    },
};

/// Beyond so many, one walk over everything beats their sum.
const WALKS_MAX: usize = 6;
/// When so many visibilities are shown of whoever owns the image, one walk over everything beats one for each.
const VISIBILITIES_MAX: usize = 2;

/// The images of a block of stances that fulfil the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Block<'a> {
    visibilities: BTreeSet<Visibility>,
    own: BTreeSet<bool>,
    answers: BTreeSet<Option<MemberStatus>>,
    rest: &'a Condition,
}

/// One walk: where it starts, and which of the images on its way it takes.
#[derive(Debug)]
pub(super) struct Walk {
    from: SelectStatement,
    condition: Cond,
}

impl Walk {
    /// Everything, of which `condition` is taken.
    fn of_all(condition: Cond) -> Self {
        Self { from: Query::select().from_as("images", "i").take(), condition }
    }

    /// As a select without columns.
    pub(super) fn select(self) -> SelectStatement {
        let mut select = self.from;
        select.cond_where(self.condition);
        select
    }
}

/// The walks that find `shown`, images that stand so to `project`. At most one if `single`.
pub(super) fn all(d: Dialect, shown: &[(Stance, &Condition)], project: Option<&str>, single: bool) -> Vec<Walk> {
    let blocks = blocks(shown);
    let of_anybody = |b: &&Block<'_>| b.own.contains(&false) && b.answers.contains(&None);
    let wide: BTreeSet<_> = blocks.iter().filter(of_anybody).flat_map(|b| b.visibilities.clone()).collect();
    if single || blocks.len() > WALKS_MAX || wide.len() > VISIBILITIES_MAX {
        let blocks = merged(blocks, |a, b| a.joins_visibilities(b));
        return match blocks.as_slice() {
            [] => Vec::new(),
            [only] => vec![Walk::of_all(only.condition(d, project))],
            _ => {
                let any = blocks.iter().fold(Cond::any(), |any, b| any.add(b.condition(d, project)));
                vec![Walk::of_all(any)]
            }
        };
    }
    blocks.iter().map(|block| block.walk(d, project)).collect()
}

/// The fewest blocks that still walk one index each: the visibilities of the caller's own images are walked together.
fn blocks<'a>(shown: &[(Stance, &'a Condition)]) -> Vec<Block<'a>> {
    let single = |(stance, rest): &(Stance, &'a Condition)| Block {
        visibilities: [stance.visibility].into(),
        own: [stance.own].into(),
        answers: [stance.membership].into(),
        rest,
    };
    let blocks = merged(shown.iter().map(single).collect(), |a, b| {
        a.visibilities == b.visibilities && a.own == b.own && a.rest == b.rest
    });
    let blocks = merged(blocks, |a, b| a.visibilities == b.visibilities && a.answers == b.answers && a.rest == b.rest);
    merged(blocks, |a, b| a.own == [true].into() && a.joins_visibilities(b))
}

/// Joins each block into the first one that it fits.
fn merged<'a>(blocks: Vec<Block<'a>>, fits: impl Fn(&Block<'a>, &Block<'a>) -> bool) -> Vec<Block<'a>> {
    let mut merged: Vec<Block<'a>> = Vec::with_capacity(blocks.len());
    for block in blocks {
        match merged.iter_mut().find(|other| fits(other, &block)) {
            Some(other) => {
                other.visibilities.extend(block.visibilities);
                other.own.extend(block.own);
                other.answers.extend(block.answers);
            }
            None => merged.push(block),
        }
    }
    merged
}

impl Block<'_> {
    fn joins_visibilities(&self, other: &Self) -> bool {
        self.own == other.own && self.answers == other.answers && self.rest == other.rest
    }

    /// From the memberships of the project where only they lead to the images, else from the images themselves.
    fn walk(&self, d: Dialect, project: Option<&str>) -> Walk {
        let (Some(project), Some(answers)) = (project, self.given_answers()) else {
            return Walk::of_all(self.condition(d, project));
        };
        let mut from = Query::select();
        // SQLite keeps the order of a cross join; the others know by their statistics.
        from.from_as("image_members", "m").join_as(JoinType::CrossJoin, "images", "i", Cond::all());
        from.and_where(col("id").equals(("m", "image_id"))).cond_where(answered(project, answers));
        Walk { from, condition: self.with_rest(d, self.stance(Some(project))) }
    }

    fn condition(&self, d: Dialect, project: Option<&str>) -> Cond {
        let mut all = self.stance(project);
        if let Some(project) = project {
            let membership = |answers: Vec<MemberStatus>| {
                let mut members = Query::select();
                members.column(("m", "image_id")).from_as("image_members", "m").cond_where(answered(project, answers));
                members
            };
            all = match self.given_answers() {
                Some(answers) => all.add(col("id").in_subquery(membership(answers))),
                None => match self.missing_answers() {
                    missing if missing.is_empty() => all,
                    missing => all.add(col("id").not_in_subquery(membership(missing))),
                },
            };
        }
        self.with_rest(d, all)
    }

    fn with_rest(&self, d: Dialect, all: Cond) -> Cond {
        if self.rest.is_always() { all } else { all.add(condition::sql(d, self.rest)) }
    }

    /// Visibility and owner.
    fn stance(&self, project: Option<&str>) -> Cond {
        let visibility = |v: &Visibility| v.as_str();
        let missing: Vec<_> =
            Visibility::ALL.iter().filter(|v| !self.visibilities.contains(v)).map(visibility).collect();
        let present: Vec<_> = self.visibilities.iter().map(visibility).collect();
        let mut all = match (present.as_slice(), missing.as_slice()) {
            (_, []) => Cond::all(),
            ([only], _) => Cond::all().add(col("visibility").eq(*only)),
            (_, [not]) => Cond::all().add(col("visibility").ne(*not)),
            _ => Cond::all().add(col("visibility").is_in(present)),
        };
        if let (Some(project), 1) = (project, self.own.len()) {
            all = if self.own.contains(&true) {
                all.add(col("owner").eq(project))
            } else {
                all.add(Cond::any().add(col("owner").is_null()).add(col("owner").ne(project)))
            };
        }
        all
    }

    /// The answers, where there must be one.
    fn given_answers(&self) -> Option<Vec<MemberStatus>> {
        self.answers.iter().copied().collect()
    }

    /// The answers that must not have been given.
    fn missing_answers(&self) -> Vec<MemberStatus> {
        let answers = [MemberStatus::Pending, MemberStatus::Accepted, MemberStatus::Rejected];
        answers.into_iter().filter(|answer| !self.answers.contains(&Some(*answer))).collect()
    }
}

/// Memberships in which the project gave one of the answers.
fn answered(project: &str, answers: Vec<MemberStatus>) -> Cond {
    let status = Expr::col(("m", "status"));
    let answers: Vec<_> = answers.into_iter().map(MemberStatus::as_str).collect();
    Cond::all().add(Expr::col(("m", "member")).eq(project)).add(match answers.as_slice() {
        [only] => status.eq(*only),
        _ => status.is_in(answers),
    })
}
