//! A condition on an image that can be told to a database: what policies leave open once the caller is known.
//!
//! Every test is true or false, never null: a test of something that an image does not have is false, and its
//! negation true.

use std::collections::BTreeSet;

use super::{IntColumn, TextColumn};
use crate::image::MemberStatus;

/// A condition on an image. The order and the equality are of the form, not of the meaning.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// The text passes the test.
    Text(Text, TextTest),
    /// The number passes the test.
    Int(IntColumn, IntTest),
    /// `protected` is set.
    Protected,
    /// `os_hidden` is set.
    Hidden,
    /// The image has this tag.
    Tag(String),
    /// The project is a member that gave this answer.
    Member(MemberStatus, String),
    /// It does not hold.
    Not(Box<Self>),
    /// All hold; none at all is always true.
    All(BTreeSet<Self>),
    /// One holds at least; none at all is never true.
    Any(BTreeSet<Self>),
    /// Only the policies themselves can tell.
    Unknown,
}

/// A text of an image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Text {
    /// One of its own attributes.
    Column(TextColumn),
    /// A custom property.
    Property(String),
}

/// What a text is held against.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum TextTest {
    /// The image has it.
    Present,
    /// It is one of these.
    In(BTreeSet<String>),
    /// It matches: each element is a character, or anything of any length.
    Like(Vec<Option<char>>),
}

/// What a number is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum IntTest {
    /// The image has it.
    Present,
    /// It equals this.
    Eq(i64),
    /// It is at least this.
    Min(i64),
    /// It is at most this.
    Max(i64),
}

impl Condition {
    /// Always, or never.
    #[must_use]
    pub fn constant(holds: bool) -> Self {
        if holds { Self::All(BTreeSet::new()) } else { Self::Any(BTreeSet::new()) }
    }

    /// Whether it is always true, by its form.
    #[must_use]
    pub fn is_always(&self) -> bool {
        matches!(self, Self::All(parts) if parts.is_empty())
    }

    /// Whether it is never true, by its form.
    #[must_use]
    pub fn is_never(&self) -> bool {
        matches!(self, Self::Any(parts) if parts.is_empty())
    }

    /// All hold, in the simplest form.
    pub fn all(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut all = BTreeSet::new();
        for part in parts {
            match part {
                Self::All(inner) => all.extend(inner),
                never if never.is_never() => return never,
                other => {
                    all.insert(other);
                }
            }
        }
        // What passes another test is there.
        let present: Vec<Self> = all.iter().filter_map(Self::presence).collect();
        all.retain(|part| !present.contains(part));
        single(all).unwrap_or_else(Self::All)
    }

    /// One holds at least, in the simplest form: texts that may be this or that become one test.
    pub fn any(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut any = BTreeSet::new();
        for part in parts {
            match part {
                Self::Any(inner) => any.extend(inner),
                always if always.is_always() => return always,
                other => {
                    any.insert(other);
                }
            }
        }
        // What is not there fails another test as well.
        let negated = |part: &Self| if let Self::Not(test) = part { test.presence().map(Self::negated) } else { None };
        let absent: Vec<Self> = any.iter().filter_map(negated).collect();
        any.retain(|part| !absent.contains(part));
        let mut merged: Vec<Self> = Vec::with_capacity(any.len());
        for part in any {
            // The order of the set brings the tests of one text together.
            match (merged.last_mut(), part) {
                (Some(Self::Text(text, TextTest::In(values))), Self::Text(same, TextTest::In(more)))
                    if *text == same =>
                {
                    values.extend(more);
                }
                (_, part) => merged.push(part),
            }
        }
        single(merged.into_iter().collect()).unwrap_or_else(Self::Any)
    }

    /// What a test implies beside itself: that the image has what it tests.
    fn presence(&self) -> Option<Self> {
        match self {
            Self::Text(text, TextTest::In(_) | TextTest::Like(_)) => Some(Self::Text(text.clone(), TextTest::Present)),
            Self::Int(column, test) if *test != IntTest::Present => Some(Self::Int(*column, IntTest::Present)),
            _ => None,
        }
    }

    /// It does not hold.
    #[must_use]
    pub fn negated(self) -> Self {
        Self::Not(Box::new(self))
    }

    /// Tests and values in it: what it costs to say it.
    #[must_use]
    pub fn weight(&self) -> usize {
        match self {
            Self::Text(_, TextTest::In(values)) => values.len().max(1),
            Self::Not(inner) => inner.weight(),
            Self::All(parts) | Self::Any(parts) => 1 + parts.iter().map(Self::weight).sum::<usize>(),
            _ => 1,
        }
    }

    /// A reduced condition of at most this weight that holds at least where this one does: of tests that must all hold,
    /// the heaviest are left to others.
    #[must_use]
    pub fn lightened(&self, most: usize) -> Self {
        if self.weight() <= most {
            return self.clone();
        }
        match self {
            Self::All(parts) => {
                let mut room = most.saturating_sub(1);
                let mut kept = Vec::new();
                for part in by_weight(parts) {
                    let light = part.lightened(room);
                    if !light.is_always() && light.weight() <= room {
                        room -= light.weight();
                        kept.push(light);
                    }
                }
                Self::all(kept)
            }
            Self::Any(parts) => {
                let mut room = most.saturating_sub(1);
                let mut kept = Vec::with_capacity(parts.len());
                for (at, part) in by_weight(parts).into_iter().enumerate() {
                    // What the light ones do not need is for the heavy ones.
                    let share = room / (parts.len() - at);
                    let light = part.lightened(share);
                    if light.is_always() || light.weight() > share {
                        return Self::constant(true);
                    }
                    room -= light.weight();
                    kept.push(light);
                }
                Self::any(kept)
            }
            Self::Text(text, TextTest::In(_)) if most > 0 => Self::Text(text.clone(), TextTest::Present),
            Self::Not(inner) if most > 0 => match &**inner {
                Self::Text(text, TextTest::In(values)) => {
                    Self::Text(text.clone(), TextTest::In(values.iter().take(most).cloned().collect())).negated()
                }
                _ => Self::constant(true),
            },
            _ => Self::constant(true),
        }
    }

    /// Whether it has a part that only the policies can tell.
    #[must_use]
    pub fn has_unknown(&self) -> bool {
        match self {
            Self::Unknown => true,
            Self::Not(inner) => inner.has_unknown(),
            Self::All(parts) | Self::Any(parts) => parts.iter().any(Self::has_unknown),
            _ => false,
        }
    }

    /// The condition with what `decide` knows of single tests put in, and negations moved down to single tests.
    /// Unknown parts count as true whether negated or not, so the result holds at least where this one does.
    pub fn reduced(&self, decide: &impl Fn(&Self) -> Self) -> Self {
        self.with_sign(true, decide)
    }

    fn with_sign(&self, sign: bool, decide: &impl Fn(&Self) -> Self) -> Self {
        match self {
            Self::Unknown => Self::constant(true),
            Self::Not(inner) => inner.with_sign(!sign, decide),
            Self::All(parts) if sign => Self::all(parts.iter().map(|p| p.with_sign(sign, decide))),
            Self::Any(parts) if !sign => Self::all(parts.iter().map(|p| p.with_sign(sign, decide))),
            Self::All(parts) | Self::Any(parts) => Self::any(parts.iter().map(|p| p.with_sign(sign, decide))),
            test => match decide(test) {
                decided if decided.is_always() || decided.is_never() => Self::constant(decided.is_always() == sign),
                open if sign => open,
                open => open.negated(),
            },
        }
    }
}

/// The lightest first.
fn by_weight(parts: &BTreeSet<Condition>) -> Vec<&Condition> {
    let mut parts: Vec<&Condition> = parts.iter().collect();
    parts.sort_by_key(|part| part.weight());
    parts
}

/// The only element, or the set as it is.
fn single(mut parts: BTreeSet<Condition>) -> Result<Condition, BTreeSet<Condition>> {
    match (parts.len(), parts.pop_first()) {
        (1, Some(only)) => Ok(only),
        (_, Some(first)) => {
            parts.insert(first);
            Err(parts)
        }
        (_, None) => Err(parts),
    }
}
