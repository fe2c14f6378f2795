//! Which bytes of the data a client asks for: `Range`, and `Content-Range` in a request as old clients send it.

use axum::http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CONTENT_RANGE, RANGE},
};

use super::error::{Answer, Failure};

/// A part of the data, never empty: `start` up to and without `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub start: u64,
    pub end: u64,
}

impl Part {
    /// The part of `size` bytes that the headers ask for; `None` is all of them.
    ///
    /// # Errors
    /// 400 for more than one range, 416 for one that is malformed or lies outside.
    pub fn of(headers: &HeaderMap, size: u64) -> Answer<Option<Self>> {
        if let Some(value) = headers.get(RANGE) {
            let text = value.to_str().unwrap_or_default();
            if text.contains(',') {
                let text =
                    "Requests with multiple ranges are not supported. Make several single-range requests instead.";
                return Err(Failure::new(StatusCode::BAD_REQUEST, text));
            }
            return range(text, size).map(Some).map_err(|why| outside(why.text("Range", size), size));
        }
        if let Some(value) = headers.get(CONTENT_RANGE) {
            let text = value.to_str().unwrap_or_default();
            return content_range(text, size).map(Some).map_err(|why| outside(why.text("Content-Range", size), size));
        }
        Ok(None)
    }

    /// Bytes of the part.
    pub fn len(self) -> u64 {
        self.end - self.start
    }

    /// `Content-Range` of the answer.
    pub fn header(self, size: u64) -> HeaderValue {
        let text = format!("bytes {}-{}/{size}", self.start, self.end - 1);
        HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("bytes */*"))
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Why {
    Malformed,
    Start,
    Stop,
}

impl Why {
    fn text(&self, header: &str, size: u64) -> String {
        let last = size.saturating_sub(1);
        match self {
            Self::Malformed => format!("Invalid {header} header."),
            Self::Start => format!(
                "Invalid start position in {header} header. Start position MUST be in the inclusive range [0, {last}]."
            ),
            Self::Stop => format!(
                "Invalid stop position in {header} header. The stop position MUST be in the inclusive range [0, {last}]."
            ),
        }
    }
}

fn outside(text: String, size: u64) -> Failure {
    let value =
        HeaderValue::try_from(format!("bytes */{size}")).unwrap_or_else(|_| HeaderValue::from_static("bytes */*"));
    Failure::new(StatusCode::RANGE_NOT_SATISFIABLE, text).with_header(CONTENT_RANGE, value)
}

/// A position. More digits than a number holds lie behind the end of everything.
fn position(text: &str) -> Result<u64, Why> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Why::Malformed);
    }
    Ok(text.parse().unwrap_or(u64::MAX))
}

fn range(text: &str, size: u64) -> Result<Part, Why> {
    let (unit, spec) = text.split_once('=').ok_or(Why::Malformed)?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Err(Why::Malformed);
    }
    let (first, last) = spec.trim().split_once('-').ok_or(Why::Malformed)?;
    let (first, last) = (first.trim(), last.trim());
    if first.is_empty() {
        let suffix = position(last)?;
        return if suffix == 0 || size == 0 {
            Err(Why::Start)
        } else {
            Ok(Part { start: size.saturating_sub(suffix), end: size })
        };
    }
    let start = position(first)?;
    let last = if last.is_empty() { u64::MAX } else { position(last)? };
    if last < start {
        return Err(Why::Malformed);
    }
    if start >= size {
        return Err(Why::Start);
    }
    Ok(Part { start, end: last.saturating_add(1).min(size) })
}

fn content_range(text: &str, size: u64) -> Result<Part, Why> {
    let spec = text.trim().strip_prefix("bytes").ok_or(Why::Malformed)?;
    let (span, length) = spec.trim().split_once('/').ok_or(Why::Malformed)?;
    let (first, last) = span.split_once('-').ok_or(Why::Malformed)?;
    let (start, last) = (position(first.trim())?, position(last.trim())?);
    if last < start || (length != "*" && position(length)? <= last) {
        return Err(Why::Malformed);
    }
    if start >= size {
        return Err(Why::Start);
    }
    if last >= size {
        return Err(Why::Stop);
    }
    Ok(Part { start, end: last + 1 })
}

#[cfg(test)]
mod tests {
    use axum::{http::HeaderName, response::IntoResponse};
    use proptest::prelude::*;

    use super::*;

    fn part(name: HeaderName, value: &str, size: u64) -> Result<Option<(u64, u64)>, u16> {
        let headers = HeaderMap::from_iter([(name, HeaderValue::from_bytes(value.as_bytes()).unwrap())]);
        Part::of(&headers, size).map(|p| p.map(|p| (p.start, p.end))).map_err(|f| f.into_response().status().as_u16())
    }

    #[test]
    fn ranges_of_ten_bytes() {
        let rows = [
            ("bytes=0-4", Ok(Some((0, 5)))),
            ("bytes=5-", Ok(Some((5, 10)))),
            ("bytes=-3", Ok(Some((7, 10)))),
            ("bytes=-30", Ok(Some((0, 10)))),
            ("bytes=8-99", Ok(Some((8, 10)))),
            ("bytes=0-99999999999999999999999", Ok(Some((0, 10)))),
            ("bytes=9-9", Ok(Some((9, 10)))),
            ("Bytes = 0 - 0", Ok(Some((0, 1)))),
            ("bytes=10-", Err(416)),
            ("bytes=-0", Err(416)),
            ("bytes=4-3", Err(416)),
            ("bytes=a-b", Err(416)),
            ("bytes=-", Err(416)),
            ("bytes", Err(416)),
            ("items=0-1", Err(416)),
            ("", Err(416)),
            ("bytes=0-1,3-4", Err(400)),
        ];
        for (value, want) in rows {
            assert_eq!(part(RANGE, value, 10), want, "{value}");
        }
        assert_eq!(part(RANGE, "bytes=0-", 0), Err(416));
        assert_eq!(part(RANGE, "bytes=-1", 0), Err(416));
    }

    #[test]
    fn content_ranges_of_ten_bytes() {
        let rows = [
            ("bytes 1-4/*", Ok(Some((1, 5)))),
            ("bytes 1-4/10", Ok(Some((1, 5)))),
            ("bytes 1-10/*", Err(416)),
            ("bytes 1-4/3", Err(416)),
            ("bytes 10-11/*", Err(416)),
            ("bytes */10", Err(416)),
            ("1-4", Err(416)),
        ];
        for (value, want) in rows {
            assert_eq!(part(CONTENT_RANGE, value, 10), want, "{value}");
        }
    }

    #[test]
    fn what_is_outside_is_told_the_size() {
        let headers = HeaderMap::from_iter([(RANGE, HeaderValue::from_static("bytes=10-"))]);
        let failure = Part::of(&headers, 10).unwrap_err();
        let response = super::super::error::render(failure.into_response(), super::super::error::Form::Json);
        assert_eq!(response.headers().get(CONTENT_RANGE).unwrap(), "bytes */10");
        assert_eq!(Part { start: 2, end: 5 }.header(10), "bytes 2-4/10");
    }

    proptest! {
        #[test]
        fn a_part_lies_inside(value in "bytes=[0-9]{0,21}-[0-9]{0,21}|bytes [0-9]{0,3}-[0-9]{0,3}/([0-9]{0,3}|\\*)|[ -~]{0,20}", size in 0_u64..300) {
            for name in [RANGE, CONTENT_RANGE] {
                match part(name, &value, size) {
                    Ok(Some((start, end))) => prop_assert!(start < end && end <= size),
                    Ok(None) => prop_assert!(false, "a header is never ignored"),
                    Err(status) => prop_assert!(status == 400 || status == 416),
                }
            }
        }
    }
}
