//! Query strings of R-01 (rows F-01 to F-23): from text to a [`ListQuery`], and back to the links of a page.

use std::borrow::Cow;

use jiff::Timestamp;
use percent_encoding::percent_decode_str;

use crate::{
    config,
    error::{Error, Result},
    image::{
        MemberStatus,
        query::{Comparison, Filter, IntColumn, ListQuery, TextColumn, TimeColumn, VisibilityFilter},
    },
};

mod sort;
mod words;

/// Parameters of one request at most.
const PARAMETERS_MAX: usize = 128;
/// Alternatives of one `in:` filter at most.
const ALTERNATIVES_MAX: usize = 256;

/// A list request: what, from where, how many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    pub query: ListQuery,
    pub marker: Option<String>,
    pub limit: u32,
    /// All parameters but the marker, in order: they return in the links of the page.
    kept: Vec<(String, String)>,
}

impl Listed {
    /// Reads a query string.
    ///
    /// # Errors
    /// `Invalid`, with the parameter that is wrong.
    pub fn parse(raw: &str, rules: &config::Images) -> Result<Self> {
        let parameters = decode(raw)?;
        let mut listed = Self {
            query: ListQuery { member_status: Some(MemberStatus::Accepted), ..ListQuery::default() },
            marker: None,
            limit: rules.page_default.min(rules.page_max),
            kept: Vec::with_capacity(parameters.len()),
        };
        let mut order = sort::Order::default();
        for (name, value) in parameters {
            match name.as_str() {
                "limit" => listed.limit = limit(&value)?.min(rules.page_max),
                "marker" => listed.marker = Some(value.clone()),
                "sort" | "sort_key" | "sort_dir" => order.take(&name, &value)?,
                _ => listed.take_filter(&name, &value)?,
            }
            if name != "marker" {
                listed.kept.push((name, value));
            }
        }
        listed.query.sort = order.finish()?;
        Ok(listed)
    }

    fn take_filter(&mut self, name: &str, value: &str) -> Result<()> {
        match name {
            "visibility" => self.query.visibility = visibility(value)?,
            "member_status" => self.query.member_status = member_status(value)?,
            "os_hidden" => self.query.hidden = boolean(name, value)?,
            "deleted" => {}
            "changes-since" if value.is_empty() => {}
            "changes-since" => {
                return Err(Error::invalid("The \"changes-since\" filter is no longer available on v2."));
            }
            _ => self.query.filters.push(filter(name, value)?),
        }
        Ok(())
    }

    /// The link to the first page.
    pub fn first(&self) -> String {
        self.link(None)
    }

    /// The link to the page after image `marker`.
    pub fn next(&self, marker: &str) -> String {
        self.link(Some(marker))
    }

    fn link(&self, marker: Option<&str>) -> String {
        let mut link = String::from("/v2/images");
        if self.kept.is_empty() && marker.is_none() {
            return link;
        }
        link.push('?');
        let start = link.len();
        let mut pairs = form_urlencoded::Serializer::for_suffix(link, start);
        pairs.extend_pairs(&self.kept);
        if let Some(marker) = marker {
            pairs.append_pair("marker", marker);
        }
        pairs.finish()
    }
}

/// Name and value of each parameter. A byte sequence that is no UTF-8 is refused, not replaced.
pub(super) fn decode(raw: &str) -> Result<Vec<(String, String)>> {
    let mut parameters = Vec::new();
    for pair in raw.split('&').filter(|p| !p.is_empty()) {
        if parameters.len() == PARAMETERS_MAX {
            return Err(Error::invalid(format!("At most {PARAMETERS_MAX} query parameters are accepted.")));
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        parameters.push((decode_text(name)?, decode_text(value)?));
    }
    Ok(parameters)
}

fn decode_text(text: &str) -> Result<String> {
    let spaced: Cow<'_, str> = if text.contains('+') { text.replace('+', " ").into() } else { text.into() };
    let decoded = percent_decode_str(&spaced).decode_utf8();
    decoded.map(Cow::into_owned).map_err(|_| Error::invalid("The query string is not valid UTF-8."))
}

fn limit(value: &str) -> Result<u32> {
    let value = value.trim();
    let digits = value.strip_prefix(['+', '-']).unwrap_or(value);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Error::invalid("limit param must be an integer"));
    }
    if value.starts_with('-') && digits.bytes().any(|b| b != b'0') {
        return Err(Error::invalid("limit param must be positive"));
    }
    // More digits than a number holds is more than any page has.
    Ok(digits.parse().unwrap_or(u32::MAX))
}

fn visibility(value: &str) -> Result<VisibilityFilter> {
    match value {
        "" => Ok(VisibilityFilter::Nothing),
        "all" => Ok(VisibilityFilter::All),
        word => word
            .parse()
            .map(VisibilityFilter::Only)
            .map_err(|_| Error::invalid(format!("Invalid visibility value: {}", short(word)))),
    }
}

fn member_status(value: &str) -> Result<Option<MemberStatus>> {
    match value {
        "all" => Ok(None),
        word => word.parse().map(Some).map_err(|_| Error::invalid(format!("Invalid status: {}", short(word)))),
    }
}

fn boolean(name: &str, value: &str) -> Result<bool> {
    // The SDK sends Python's `True`.
    match value.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Error::invalid(format!(
            "Invalid value '{}' for '{name}' filter. Valid values are 'true' or 'false'.",
            short(value)
        ))),
    }
}

fn filter(name: &str, value: &str) -> Result<Filter> {
    // No text in the database holds a NUL, and not every database takes one in a question.
    if name.contains('\0') || value.contains('\0') {
        return Ok(Filter::Nothing);
    }
    match name {
        "tag" => Ok(Filter::Tag(value.trim().to_owned())),
        "protected" => boolean(name, value).map(Filter::Protected),
        "name" => operators(TextColumn::Name, value),
        "id" => operators(TextColumn::Id, value),
        "status" => operators(TextColumn::Status, value),
        "container_format" => operators(TextColumn::ContainerFormat, value),
        "disk_format" => operators(TextColumn::DiskFormat, value),
        "created_at" => time(TimeColumn::CreatedAt, name, value),
        "updated_at" => time(TimeColumn::UpdatedAt, name, value),
        "owner" => Ok(Filter::TextIn(TextColumn::Owner, vec![value.to_owned()])),
        "checksum" => Ok(Filter::TextIn(TextColumn::Checksum, vec![value.to_owned()])),
        "os_hash_algo" => Ok(Filter::TextIn(TextColumn::OsHashAlgo, vec![value.to_owned()])),
        "os_hash_value" => Ok(Filter::TextIn(TextColumn::OsHashValue, vec![value.to_owned()])),
        "members" | "locations" | "properties" | "tags" => {
            Err(Error::invalid(format!("Images cannot be filtered by '{name}'.")))
        }
        "deleted_at" | "stores" | "direct_url" | "self" | "file" | "schema" => Ok(Filter::Nothing),
        name => number(name, value),
    }
}

/// `size`, `min_ram_max` … or else a custom property.
fn number(name: &str, value: &str) -> Result<Filter> {
    if let Some(column) = int_column(name) {
        return Ok(value.trim().parse().map_or(Filter::Nothing, |n| Filter::IntEq(column, n)));
    }
    let bound = name
        .strip_suffix("_min")
        .map(|c| (c, Filter::IntMin as fn(IntColumn, i64) -> Filter))
        .or_else(|| name.strip_suffix("_max").map(|c| (c, Filter::IntMax as fn(IntColumn, i64) -> Filter)));
    let Some((column, make)) = bound else {
        return Ok(Filter::Property(name.to_owned(), value.to_owned()));
    };
    let column = int_column(column)
        .ok_or_else(|| Error::invalid(format!("Unable to filter on a range with attribute '{}'.", short(column))))?;
    let number = value.trim().parse().map_err(|_| {
        Error::invalid(format!("Unable to filter on a range with a non-numeric value '{}'.", short(value)))
    })?;
    Ok(make(column, number))
}

fn int_column(name: &str) -> Option<IntColumn> {
    Some(match name {
        "size" => IntColumn::Size,
        "virtual_size" => IntColumn::VirtualSize,
        "min_disk" => IntColumn::MinDisk,
        "min_ram" => IntColumn::MinRam,
        _ => return None,
    })
}

/// `value`, `eq:value` or `in:a,"b,c"`.
fn operators(column: TextColumn, value: &str) -> Result<Filter> {
    let alternatives = match value.split_once(':') {
        None => vec![value.to_owned()],
        Some(("eq", value)) => vec![value.to_owned()],
        Some(("in", list)) => words::split(list)?,
        Some((operator, _)) => {
            return Err(Error::invalid(format!("Unable to filter by unknown operator '{}'.", short(operator))));
        }
    };
    if alternatives.len() > ALTERNATIVES_MAX {
        return Err(Error::invalid(format!("At most {ALTERNATIVES_MAX} values are accepted in one filter.")));
    }
    Ok(Filter::TextIn(column, alternatives))
}

/// An instant, or an operator and an instant. The text of an instant has colons of its own.
fn time(column: TimeColumn, name: &str, value: &str) -> Result<Filter> {
    let (comparison, text) = match value.split_once(':') {
        Some(("gt", t)) => (Comparison::Gt, t),
        Some(("gte", t)) => (Comparison::Gte, t),
        Some(("lt", t)) => (Comparison::Lt, t),
        Some(("lte", t)) => (Comparison::Lte, t),
        Some(("eq", t)) => (Comparison::Eq, t),
        Some(("neq", t)) => (Comparison::Neq, t),
        _ => (Comparison::Eq, value),
    };
    let instant = instant(text)
        .ok_or_else(|| Error::invalid(format!("Invalid value '{}' for '{name}' filter.", short(value))))?;
    Ok(Filter::Time(column, comparison, instant))
}

/// ISO 8601 with offset; without one it is UTC, and a date alone is its first second. A `+` that the client did not
/// escape has become a blank.
fn instant(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let restored = text.rsplit_once(' ').filter(|(_, zone)| is_zone(zone)).map(|(t, zone)| format!("{t}+{zone}"));
    let text = restored.as_deref().unwrap_or(text);
    let instant = text.parse::<Timestamp>().ok().or_else(|| {
        let civil = text.strip_suffix(['Z', 'z']).unwrap_or(text).parse::<jiff::civil::DateTime>().ok()?;
        civil.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|z| z.timestamp())
    })?;
    // Years that no image has, and that some databases cannot hold, would be no more than a way to make one fail.
    (0..=253_402_300_799).contains(&instant.as_second()).then_some(instant)
}

/// `HH:MM` or `HHMM`: what is left of an offset whose plus sign became a blank.
fn is_zone(text: &str) -> bool {
    match text.as_bytes() {
        [a, b, c, d] => [a, b, c, d].iter().all(|x| x.is_ascii_digit()),
        [a, b, b':', c, d, rest @ ..] => rest.is_empty() && [a, b, c, d].iter().all(|x| x.is_ascii_digit()),
        _ => false,
    }
}

/// Input for a message: never more than a line.
fn short(text: &str) -> &str {
    text.char_indices().nth(64).and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

#[cfg(test)]
mod tests;
