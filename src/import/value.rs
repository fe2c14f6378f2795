//! Values as Python has them.

use std::collections::BTreeMap;

/// A value of credentials or target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `None`
    None,
    /// `True` or `False`
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Text.
    Text(String),
    /// A list of texts.
    List(Vec<String>),
}

impl Value {
    /// `str(value)`, but for lists, which no check compares as a whole.
    pub(super) fn text(&self) -> Option<String> {
        match self {
            Self::None => Some("None".into()),
            Self::Bool(value) => Some(if *value { "True" } else { "False" }.into()),
            Self::Int(value) => Some(value.to_string()),
            Self::Text(text) => Some(text.clone()),
            Self::List(_) => None,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Option<&str>> for Value {
    fn from(text: Option<&str>) -> Self {
        text.map_or(Self::None, Self::from)
    }
}

/// Credentials, or attributes of a target.
pub type Values = BTreeMap<String, Value>;

/// A Python literal, such as `'public'`, `True`, `None` or `12`.
pub(super) fn literal(text: &str) -> Option<Value> {
    for quote in ['\'', '"'] {
        if let Some(inner) = text.strip_prefix(quote).and_then(|t| t.strip_suffix(quote)) {
            return (!inner.contains([quote, '\\'])).then(|| Value::from(inner));
        }
    }
    match text {
        "None" => Some(Value::None),
        "True" => Some(Value::Bool(true)),
        "False" => Some(Value::Bool(false)),
        _ => text.parse::<i64>().ok().filter(|n| n.to_string() == text).map(Value::Int),
    }
}
