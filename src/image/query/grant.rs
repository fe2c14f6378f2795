//! Which images a caller may see, in the form that a database can apply.
//!
//! What lists ask and what most policies ask of an image is how it stands to the caller: its visibility, whether the
//! caller's project owns it, and what the project said to it. There are few such stances; for each one the policies
//! leave a condition, mostly "always" or "never". So the visibility filter of a request chooses among stances, and the
//! database walks an index for each group of them.

use std::collections::BTreeSet;

use super::{Condition, ListQuery, Text, TextColumn, TextTest, VisibilityFilter};
use crate::image::{MemberStatus, Visibility};

/// Tests and values that one condition says to a database at most: SQLite nests 1000 deep.
const WEIGHT_MAX: usize = 500;

/// How an image stands to the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stance {
    /// Of the image.
    pub visibility: Visibility,
    /// The caller's project owns it.
    pub own: bool,
    /// What the caller's project said to it, as a member.
    pub membership: Option<MemberStatus>,
}

/// What the policies permit one caller to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Every image that fulfils the condition of its stance may be seen. Otherwise those that do not may not, and the
    /// others have to be decided one by one.
    pub exact: bool,
    stances: Vec<(Stance, Condition)>,
}

impl Grant {
    /// Splits a condition by stance to `project`.
    #[must_use]
    pub fn new(condition: &Condition, project: Option<&str>) -> Self {
        let mut exact = !condition.has_unknown();
        let mut stances = Vec::new();
        for stance in Stance::all(project.is_some()) {
            let mut left = condition.reduced(&|test| stance.decide(test, project));
            if left.weight() > WEIGHT_MAX {
                exact = false;
                left = left.lightened(WEIGHT_MAX);
            }
            if !left.is_never() {
                stances.push((stance, left));
            }
        }
        Self { exact, stances }
    }

    /// Everything may be seen.
    #[must_use]
    pub fn everything(project: Option<&str>) -> Self {
        Self::new(&Condition::constant(true), project)
    }

    /// What either permits; each row has to be decided.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let of = |grant: &Self, stance| grant.stances.iter().find(|(s, _)| *s == stance).map(|(_, c)| c.clone());
        let either = |stance| Condition::any(of(self, stance).into_iter().chain(of(other, stance)));
        let stances = Stance::all(true).map(|stance| (stance, either(stance).lightened(WEIGHT_MAX)));
        Self { exact: false, stances: stances.filter(|(_, condition)| !condition.is_never()).collect() }
    }

    /// Tests and values in it.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.stances.iter().map(|(_, condition)| 1 + condition.weight()).sum()
    }

    /// The stances that a request is about and in which images may be seen, and what else these must fulfil.
    pub fn shown(&self, query: &ListQuery, all_projects: bool) -> Vec<(Stance, &Condition)> {
        self.stances.iter().filter(|(s, _)| query.shows(*s, all_projects)).map(|(s, c)| (*s, c)).collect()
    }
}

impl Stance {
    /// Every stance to a project, or to a caller without one.
    fn all(project: bool) -> impl Iterator<Item = Self> {
        let owns = if project { [true, false].as_slice() } else { &[false] };
        let answers = [None, Some(MemberStatus::Accepted), Some(MemberStatus::Pending), Some(MemberStatus::Rejected)];
        Visibility::ALL.into_iter().flat_map(move |visibility| {
            owns.iter().flat_map(move |own| {
                answers.into_iter().filter(move |m| project || m.is_none()).map(move |membership| Self {
                    visibility,
                    own: *own,
                    membership,
                })
            })
        })
    }

    /// What is left of a single test for an image that stands so to `project`.
    fn decide(self, test: &Condition, project: Option<&str>) -> Condition {
        match test {
            Condition::Text(Text::Column(TextColumn::Visibility), TextTest::In(values)) => {
                Condition::constant(values.contains(self.visibility.as_str()))
            }
            Condition::Text(Text::Column(TextColumn::Owner), TextTest::Present) if self.own => {
                Condition::constant(true)
            }
            Condition::Text(Text::Column(TextColumn::Owner), TextTest::In(owners)) if self.own => {
                Condition::constant(project.is_some_and(|p| owners.contains(p)))
            }
            Condition::Text(Text::Column(TextColumn::Owner), TextTest::In(owners)) => {
                let others: BTreeSet<_> = owners.iter().filter(|o| Some(o.as_str()) != project).cloned().collect();
                if others.is_empty() {
                    return Condition::constant(false);
                }
                Condition::Text(Text::Column(TextColumn::Owner), TextTest::In(others))
            }
            Condition::Member(status, member) if Some(member.as_str()) == project => {
                Condition::constant(self.membership == Some(*status))
            }
            open => open.clone(),
        }
    }
}

impl ListQuery {
    /// Whether the request is about images that stand so to the caller. It is a wish, not a permission: by default
    /// a list leaves out others' community images, and what others share with the project unless the project said
    /// yes. Who lists all projects is no member of anything.
    #[must_use]
    pub fn shows(&self, stance: Stance, all_projects: bool) -> bool {
        let wanted = match self.visibility {
            VisibilityFilter::Default => stance.own || stance.visibility != Visibility::Community,
            VisibilityFilter::All => true,
            VisibilityFilter::Only(only) => stance.visibility == only,
            VisibilityFilter::Nothing => false,
        };
        let offered = stance.visibility == Visibility::Shared && !stance.own && !all_projects;
        let answer = self.member_status.zip(stance.membership).filter(|_| offered);
        wanted && answer.is_none_or(|(asked, given)| asked == given)
    }
}
