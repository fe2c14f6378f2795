//! PATCH documents of both media types, from JSON to [`Change`]s. What needs the image is in `image::change`.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::CONTENT_TYPE};
use serde_json::{Map, Value as Json};

use super::{
    attributes::{self, READ_ONLY},
    error::Failure,
    locations,
};
use crate::{
    config,
    error::{Error, Result},
    image::change::{Change, Mode},
};

const V20: &str = "application/openstack-images-v2.0-json-patch";
const V21: &str = "application/openstack-images-v2.1-json-patch";
const BOTH: &str = "application/openstack-images-v2.0-json-patch, application/openstack-images-v2.1-json-patch";
const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");
/// Operations of one document at most; each is cheap, and the body is bounded as well.
const OPERATIONS_MAX: usize = 10_000;

/// The two forms of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `{"add": "/path", "value": …}`, deprecated.
    V20,
    /// `{"op": "add", "path": "/path", "value": …}`.
    V21,
}

impl Dialect {
    /// The dialect that the Content-Type names.
    pub fn of(headers: &HeaderMap) -> std::result::Result<Self, Failure> {
        match media_type(headers) {
            Some(t) if t.eq_ignore_ascii_case(V20) => Ok(Self::V20),
            Some(t) if t.eq_ignore_ascii_case(V21) => Ok(Self::V21),
            _ => {
                let text = format!("Image PATCH expects Content-Type one of: {BOTH}");
                let failure = Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text);
                Err(failure.with_header(ACCEPT_PATCH, HeaderValue::from_static(BOTH)))
            }
        }
    }
}

/// The media type of a body, without parameters.
pub(super) fn media_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(CONTENT_TYPE)?.to_str().ok()?.split(';').next().map(str::trim)
}

/// All changes of `document`, in order.
///
/// # Errors
/// `Invalid` for a malformed document, `Forbidden` for attributes that are not the client's to write.
pub(super) fn parse(document: &Json, dialect: Dialect, rules: &config::Images) -> Result<Vec<Change>> {
    let operations =
        document.as_array().ok_or_else(|| Error::invalid("Request body must be a JSON array of operation objects."))?;
    if operations.len() > OPERATIONS_MAX {
        return Err(Error::invalid(format!("At most {OPERATIONS_MAX} operations are accepted.")));
    }
    operations.iter().map(|o| operation(o, dialect, rules)).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Add,
    Remove,
    Replace,
}

const OPS: [(&str, Op); 3] = [("add", Op::Add), ("remove", Op::Remove), ("replace", Op::Replace)];

impl Op {
    fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Remove => "remove",
            Self::Replace => "replace",
        }
    }
}

fn operation(raw: &Json, dialect: Dialect, rules: &config::Images) -> Result<Change> {
    let raw = raw.as_object().ok_or_else(|| Error::invalid("Operations must be JSON objects."))?;
    let (op, path) = match dialect {
        Dialect::V21 => op_and_path(raw)?,
        Dialect::V20 => op_with_path(raw)?,
    };
    let path = pointer(path)?;
    let (root, depth) = (path.first().map_or("", String::as_str), path.len());
    let wanted = if root == "locations" && op != Op::Replace { 2 } else { 1 };
    if depth != wanted {
        return Err(Error::invalid(format!("Invalid JSON pointer for this resource: '/{}'", path.join("/"))));
    }
    let value = match op {
        Op::Remove => None,
        _ => Some(raw.get("value").ok_or_else(|| {
            Error::invalid(format!("Operation \"{}\" requires a member named \"value\".", op.name()))
        })?),
    };
    check_writable(root)?;
    change(op, &path, value, dialect, rules)
}

fn change(op: Op, path: &[String], value: Option<&Json>, dialect: Dialect, rules: &config::Images) -> Result<Change> {
    let [root, last] = [path.first(), path.last()].map(|part| part.map_or("", String::as_str));
    let mode = match (op, dialect) {
        (Op::Replace, _) => Mode::Replace,
        (_, Dialect::V20) => Mode::AddNew,
        (_, Dialect::V21) => Mode::Add,
    };
    match (root, value) {
        ("locations", value) => locations::edit(op == Op::Replace, last, value).map(Change::Locations),
        (name, None) => Ok(Change::Remove(name.to_owned())),
        ("stores", Some(value)) if value.is_string() => Ok(Change::Derived(mode, "stores")),
        (name, Some(value)) => Ok(Change::Set(mode, attributes::parse(name, value, rules)?)),
    }
}

fn op_and_path(raw: &Map<String, Json>) -> Result<(Op, &str)> {
    let known = "It must be one of the following: add, remove, replace.";
    let op = match raw.get("op") {
        None | Some(Json::Null) => {
            return Err(Error::invalid(format!("Unable to find `op` in JSON Schema change. {known}")));
        }
        Some(op) => OPS
            .iter()
            .find(|(name, _)| op.as_str() == Some(name))
            .map(|(_, op)| *op)
            .ok_or_else(|| Error::invalid(format!("Invalid operation: `{}`. {known}", plain(op))))?,
    };
    let path = raw.get("path").ok_or_else(|| Error::invalid("Unable to find 'path' in JSON Schema change"))?;
    Ok((op, text(path)?))
}

fn op_with_path(raw: &Map<String, Json>) -> Result<(Op, &str)> {
    let mut found = OPS.iter().filter_map(|(name, op)| raw.get(*name).map(|path| (*op, path)));
    let names = "named \"add\", \"remove\", or \"replace\".";
    match (found.next(), found.next()) {
        (Some((op, path)), None) => Ok((op, text(path)?)),
        (None, _) => Err(Error::invalid(format!("Operation objects must contain exactly one member {names}"))),
        _ => Err(Error::invalid(format!("Operation objects must contain only one member {names}"))),
    }
}

fn text(path: &Json) -> Result<&str> {
    path.as_str().ok_or_else(|| Error::invalid("The path of an operation must be a string."))
}

fn plain(json: &Json) -> String {
    attributes::shown(json).trim_matches('\'').to_owned()
}

/// The parts of a JSON pointer, unescaped and trimmed; none of them is empty.
fn pointer(text: &str) -> Result<Vec<String>> {
    let refused = |why: &str| Error::invalid(format!("Pointer `{}` {why}", plain(&Json::from(text))));
    let rest = text.strip_prefix('/').ok_or_else(|| refused("does not start with \"/\"."))?;
    if rest.trim().is_empty() {
        return Err(refused("does not contains valid token."));
    }
    if rest.ends_with('/') {
        return Err(refused("end with \"/\"."));
    }
    rest.split('/')
        .map(|part| {
            let mut escapes = part.split('~').skip(1);
            if !escapes.all(|e| e.starts_with(['0', '1'])) {
                return Err(refused("contains \"~\" not part of a recognized escape sequence."));
            }
            let part = part.replace("~1", "/").replace("~0", "~").trim().to_owned();
            if part.is_empty() { Err(refused("contains adjacent \"/\".")) } else { Ok(part) }
        })
        .collect()
}

fn check_writable(root: &str) -> Result<()> {
    if READ_ONLY.contains(&root) {
        return Err(Error::forbidden(format!("Attribute '{root}' is read-only.")));
    }
    attributes::check_reserved(root)
}

#[cfg(test)]
mod tests;
