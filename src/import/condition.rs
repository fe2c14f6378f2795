//! Conditions of Cedar as a tree, so that they can be simplified before they are written.

use std::fmt;

/// A condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Condition {
    /// Holds always or never.
    Constant(bool),
    /// One comparison.
    Atom(String),
    Not(Box<Self>),
    All(Vec<Self>),
    Any(Vec<Self>),
}

impl Condition {
    pub(super) fn atom(text: impl Into<String>) -> Self {
        Self::Atom(text.into())
    }

    /// All of the parts; `true` is left out, one `false` makes it `false`.
    pub(super) fn all(parts: impl IntoIterator<Item = Self>) -> Self {
        Self::joined(parts, true, Self::All)
    }

    /// Any of the parts; `false` is left out, one `true` makes it `true`.
    pub(super) fn any(parts: impl IntoIterator<Item = Self>) -> Self {
        Self::joined(parts, false, Self::Any)
    }

    fn joined(parts: impl IntoIterator<Item = Self>, neutral: bool, join: fn(Vec<Self>) -> Self) -> Self {
        let mut kept: Vec<Self> = Vec::new();
        for part in parts {
            match part {
                Self::Constant(value) if value == neutral => {}
                Self::Constant(value) => return Self::Constant(value),
                Self::All(inner) if neutral => kept.extend(inner),
                Self::Any(inner) if !neutral => kept.extend(inner),
                other if kept.contains(&other) => {}
                other => kept.push(other),
            }
        }
        match kept.pop() {
            None => Self::Constant(neutral),
            Some(only) if kept.is_empty() => only,
            Some(last) => {
                kept.push(last);
                join(kept)
            }
        }
    }

    pub(super) fn negated(self) -> Self {
        match self {
            Self::Constant(value) => Self::Constant(!value),
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, parts: &[Self], sign: &str| {
            for (n, part) in parts.iter().enumerate() {
                if n > 0 {
                    f.write_str(sign)?;
                }
                match part {
                    Self::All(_) | Self::Any(_) => write!(f, "({part})")?,
                    _ => write!(f, "{part}")?,
                }
            }
            Ok(())
        };
        match self {
            Self::Constant(value) => write!(f, "{value}"),
            Self::Atom(text) => f.write_str(text),
            Self::Not(inner) => write!(f, "!({inner})"),
            Self::All(parts) => list(f, parts, " && "),
            Self::Any(parts) => list(f, parts, " || "),
        }
    }
}

/// A string literal of Cedar.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.escape_debug())
}
