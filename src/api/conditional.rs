//! Conditional requests: entity tags of bodies and of data, and the headers that compare them.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use headers::{ETag, HeaderMapExt, IfMatch, IfNoneMatch, IfRange};
use sha2::{Digest, Sha256};

use super::error::{Answer, Failure};

/// The tag of a body: it changes with every byte that this caller is shown.
pub(super) fn body_tag(body: &[u8]) -> HeaderValue {
    let digest = Sha256::digest(body);
    let text = data_encoding::HEXLOWER.encode(digest.get(..16).unwrap_or_default());
    quoted(&text).unwrap_or_else(|| HeaderValue::from_static("\"\""))
}

/// The strong tag of data whose hash is known.
pub(super) fn data_tag(hash: Option<&str>) -> Option<HeaderValue> {
    hash.and_then(quoted)
}

fn quoted(text: &str) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("\"{text}\"")).ok()
}

/// What the conditions of a request ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Go on.
    Proceed,
    /// The client has it already: 304.
    NotModified,
}

/// Compares `If-Match` and `If-None-Match` with the tag of what there is.
///
/// # Errors
/// 412 when `If-Match` does not hold.
pub(super) fn check(headers: &HeaderMap, tag: Option<&HeaderValue>) -> Answer<Verdict> {
    if !headers.contains_key("if-match") && !headers.contains_key("if-none-match") {
        return Ok(Verdict::Proceed);
    }
    let tag = tag.and_then(parsed);
    if let Some(condition) = typed::<IfMatch>(headers)? {
        let holds = condition.is_any() || tag.as_ref().is_some_and(|t| condition.precondition_passes(t));
        if !holds {
            let text = "The image is not what the If-Match header says.";
            return Err(Failure::new(StatusCode::PRECONDITION_FAILED, text));
        }
    }
    match (typed::<IfNoneMatch>(headers)?, &tag) {
        (Some(condition), Some(tag)) if !condition.precondition_passes(tag) => Ok(Verdict::NotModified),
        _ => Ok(Verdict::Proceed),
    }
}

/// Whether a `Range` may be served: without `If-Range` always, with it only while the data is still the same.
pub(super) fn range_holds(headers: &HeaderMap, tag: Option<&HeaderValue>) -> bool {
    if !headers.contains_key("if-range") {
        return true;
    }
    match headers.typed_try_get::<IfRange>() {
        Ok(Some(condition)) => !condition.is_modified(tag.and_then(parsed).as_ref(), None),
        _ => false,
    }
}

fn typed<H: headers::Header>(headers: &HeaderMap) -> Answer<Option<H>> {
    headers.typed_try_get::<H>().map_err(|_| {
        let name: &HeaderName = H::name();
        Failure::new(StatusCode::BAD_REQUEST, format!("Invalid {name} header."))
    })
}

fn parsed(value: &HeaderValue) -> Option<ETag> {
    value.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use proptest::prelude::*;

    use super::*;

    fn verdict(name: &'static str, value: &str, tag: Option<&str>) -> Result<Verdict, u16> {
        let headers =
            HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap())]);
        check(&headers, data_tag(tag).as_ref()).map_err(|f| f.into_response().status().as_u16())
    }

    #[test]
    fn compares_tags() {
        let rows = [
            ("if-none-match", "\"a\"", Some("a"), Ok(Verdict::NotModified)),
            ("if-none-match", "W/\"a\"", Some("a"), Ok(Verdict::NotModified)),
            ("if-none-match", "\"b\", \"a\"", Some("a"), Ok(Verdict::NotModified)),
            ("if-none-match", "*", Some("a"), Ok(Verdict::NotModified)),
            ("if-none-match", "\"b\"", Some("a"), Ok(Verdict::Proceed)),
            ("if-none-match", "\"a\"", None, Ok(Verdict::Proceed)),
            ("if-match", "\"a\"", Some("a"), Ok(Verdict::Proceed)),
            ("if-match", "*", Some("a"), Ok(Verdict::Proceed)),
            ("if-match", "\"b\"", Some("a"), Err(412)),
            ("if-match", "W/\"a\"", Some("a"), Err(412)),
            ("if-match", "\"a\"", None, Err(412)),
        ];
        for (name, value, tag, want) in rows {
            assert_eq!(verdict(name, value, tag), want, "{name}: {value} with {tag:?}");
        }
    }

    #[test]
    fn a_range_needs_the_same_data() {
        let holds = |value: Option<&'static str>| {
            let pairs = value.map(|v| (HeaderName::from_static("if-range"), HeaderValue::from_static(v)));
            range_holds(&HeaderMap::from_iter(pairs), data_tag(Some("a")).as_ref())
        };
        assert!(holds(None) && holds(Some("\"a\"")));
        assert!(!holds(Some("\"b\"")) && !holds(Some("W/\"a\"")) && !holds(Some("Thu, 01 Jan 1970 00:00:00 GMT")));
        assert!(!holds(Some("nonsense")));
    }

    #[test]
    fn a_tag_follows_the_body() {
        assert_eq!(body_tag(b"a"), body_tag(b"a"));
        assert_ne!(body_tag(b"a"), body_tag(b"b"));
        assert_eq!(body_tag(b"a").len(), 34);
    }

    proptest! {
        #[test]
        fn any_header_is_taken_or_refused(value in "[ -~]{0,30}", name in 0..2_usize) {
            let got = verdict(["if-match", "if-none-match"][name], &value, Some("a"));
            prop_assert!(got.is_ok() || got == Err(412) || got == Err(400));
        }
    }
}
