//! From failures to HTTP: the one place where a kind becomes a status code and a message becomes a body.
//!
//! A handler returns a [`Failure`]; its text waits in the extensions of the response until the outermost middleware
//! calls [`render`], which alone knows what the client accepts.

use std::{fmt::Write as _, time::Duration};

use axum::{
    body::Body,
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, USER_AGENT},
    },
    response::{IntoResponse, Response},
};

use crate::error::{Error, Kind};

/// Under which the decision that denied a request is logged.
pub(super) const DECISION: HeaderName = HeaderName::from_static("x-fanlight-decision");

/// A failure on its way to the client.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    status: StatusCode,
    message: String,
    decision: Option<String>,
    retry_after: Option<Duration>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// Result of a handler.
pub(super) type Answer<T = Response> = Result<T, Failure>;

impl Failure {
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), decision: None, retry_after: None, headers: Vec::new() }
    }

    /// Adds a header that belongs to this failure.
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

fn status_of(kind: Kind) -> StatusCode {
    match kind {
        Kind::Invalid => StatusCode::BAD_REQUEST,
        Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::Gone => StatusCode::GONE,
        Kind::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::UnsupportedMedia => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Kind::RangeNotSatisfiable => StatusCode::RANGE_NOT_SATISFIABLE,
        Kind::HeaderTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The words that clients know; for two codes they are older than today's.
fn title(status: StatusCode) -> &'static str {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => "Request Entity Too Large",
        StatusCode::RANGE_NOT_SATISFIABLE => "Requested Range Not Satisfiable",
        other => other.canonical_reason().unwrap_or("Error"),
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = status_of(error.kind());
        if status.is_server_error() {
            tracing::error!(?error, status = status.as_u16(), "request failed");
        } else {
            tracing::debug!(?error, status = status.as_u16(), "request refused");
        }
        Self {
            status,
            message: error.message().to_owned(),
            decision: error.decision().map(str::to_owned),
            retry_after: error.retry_after(),
            headers: Vec::new(),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Gives a 403 that no policy decided an id of its own: `record` keeps the reason and names it.
pub(super) fn note_refusal(response: &mut Response, record: impl FnOnce(&str) -> String) {
    if response.status() == StatusCode::FORBIDDEN
        && let Some(failure) = response.extensions_mut().get_mut::<Failure>()
        && failure.decision.is_none()
    {
        failure.decision = Some(record(&failure.message));
    }
}

/// Gives a failed response its body, in the form that the client accepts. Other responses pass unchanged.
pub(super) fn render(mut response: Response, accept: Form) -> Response {
    let failure = match response.extensions_mut().remove::<Failure>() {
        Some(failure) => failure,
        // The router's own answer to a method that the path does not have.
        None if response.status() == StatusCode::METHOD_NOT_ALLOWED => {
            Failure::new(StatusCode::METHOD_NOT_ALLOWED, "The method is not allowed for this resource.")
        }
        None => return response,
    };
    let (content_type, body) = accept.body(failure.status, &failure.message);
    *response.body_mut() = Body::from(body);
    let headers = response.headers_mut();
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    for (name, value) in failure.headers {
        headers.insert(name, value);
    }
    // An image or a store that stays hidden must look like one that is not there, so a 404 or a 400 names no decision:
    // the operator finds it by the id of the request.
    let open = failure.status == StatusCode::FORBIDDEN || failure.status.is_server_error();
    let named = failure.decision.filter(|_| open);
    if let Some(decision) = named.and_then(|d| HeaderValue::try_from(d).ok()) {
        headers.insert(DECISION, decision);
    }
    if failure.status == StatusCode::SERVICE_UNAVAILABLE {
        let seconds = failure.retry_after.map_or(10, |d| d.as_secs().max(1));
        headers.insert(RETRY_AFTER, seconds.into());
    }
    response
}

/// Form of an error body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Html,
    Text,
}

impl Form {
    /// What the `Accept` header asks for. Between equals JSON wins, or HTML where the operator wants Glance's habit.
    /// Without (or with an empty) header it is plain text. python-glanceclient takes anything, but fails on an error
    /// in JSON whose values are no objects, so it gets what it gets from Glance.
    pub fn negotiate(headers: &HeaderMap, html_first: bool) -> Self {
        let agent = headers.get(USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let html_first = html_first || agent.starts_with("python-glanceclient");
        let offers = if html_first {
            [(Self::Html, "text", "html"), (Self::Json, "application", "json"), (Self::Text, "text", "plain")]
        } else {
            [(Self::Json, "application", "json"), (Self::Html, "text", "html"), (Self::Text, "text", "plain")]
        };
        let mut best = (Self::Text, 0_u16);
        for (form, kind, subtype) in offers {
            let quality = headers
                .get_all(ACCEPT)
                .iter()
                .filter_map(|v| v.to_str().ok())
                .flat_map(|v| v.split(','))
                .filter_map(|range| MediaRange::parse(range)?.weight(kind, subtype))
                .max_by_key(|(specific, _)| *specific)
                .map_or(0, |(_, quality)| quality);
            if quality > best.1 {
                best = (form, quality);
            }
        }
        best.0
    }

    fn body(self, status: StatusCode, message: &str) -> (&'static str, String) {
        let (code, title) = (status.as_u16(), title(status));
        match self {
            Self::Json => {
                let body = serde_json::json!({"message": message, "code": format!("{code} {title}"), "title": title});
                ("application/json", body.to_string())
            }
            Self::Html => {
                let text = escape(message);
                let head = format!("<head>\n  <title>{code} {title}</title>\n </head>");
                let body = format!("<body>\n  <h1>{code} {title}</h1>\n  {text}<br /><br />\n\n\n\n </body>");
                ("text/html; charset=UTF-8", format!("<html>\n {head}\n {body}\n</html>"))
            }
            Self::Text => ("text/plain; charset=UTF-8", format!("{code} {title}\n\n{message}\n\n")),
        }
    }
}

/// One element of an `Accept` header; the quality in thousandths.
struct MediaRange<'a> {
    kind: &'a str,
    subtype: &'a str,
    quality: u16,
}

impl<'a> MediaRange<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';');
        let (kind, subtype) = parts.next()?.trim().split_once('/')?;
        let quality = parts
            .filter_map(|p| p.trim().strip_prefix("q="))
            .find_map(|q| q.trim().parse::<f32>().ok())
            .map_or(1000, |q| (q.clamp(0.0, 1.0) * 1000.0) as u16);
        Some(Self { kind, subtype, quality })
    }

    /// How closely this range names the type, and the quality it gives it.
    fn weight(&self, kind: &str, subtype: &str) -> Option<(u8, u16)> {
        match (self.kind, self.subtype) {
            (k, s) if k.eq_ignore_ascii_case(kind) && s.eq_ignore_ascii_case(subtype) => Some((2, self.quality)),
            (k, "*") if k.eq_ignore_ascii_case(kind) => Some((1, self.quality)),
            ("*", "*") => Some((0, self.quality)),
            _ => None,
        }
    }
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' | '<' | '>' | '"' | '\'' => {
                // Writing to a string does not fail.
                let _ = write!(out, "&#{};", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn form(accept: Option<&str>, html_first: bool) -> Form {
        let mut headers = HeaderMap::new();
        if let Some(accept) = accept {
            headers.insert(ACCEPT, HeaderValue::from_str(accept).unwrap());
        }
        Form::negotiate(&headers, html_first)
    }

    #[test]
    fn follows_accept() {
        let rows = [
            (None, Form::Text, Form::Text),
            (Some(""), Form::Text, Form::Text),
            (Some("text/plain"), Form::Text, Form::Text),
            (Some("image/png"), Form::Text, Form::Text),
            (Some("application/json"), Form::Json, Form::Json),
            (Some("*/*"), Form::Json, Form::Html),
            (Some("text/html"), Form::Html, Form::Html),
            (Some("application/json, text/plain, */*"), Form::Json, Form::Html),
            (Some("text/html;q=0.1, application/json;q=0.9"), Form::Json, Form::Json),
            (Some("*/*, application/json;q=0"), Form::Html, Form::Html),
            (Some("text/*"), Form::Html, Form::Html),
        ];
        for (accept, plain, html) in rows {
            assert_eq!((form(accept, false), form(accept, true)), (plain, html), "{accept:?}");
        }
    }

    #[test]
    fn json_carries_no_markup_and_html_no_input() {
        let (_, json) = Form::Json.body(StatusCode::NOT_FOUND, "a <b> \"c\"");
        insta::assert_snapshot!(json, @r#"{"message":"a <b> \"c\"","code":"404 Not Found","title":"Not Found"}"#);
        let (_, html) = Form::Html.body(StatusCode::NOT_FOUND, "<script>");
        assert!(!html.contains("<script>"));
        let (_, text) = Form::Text.body(StatusCode::PAYLOAD_TOO_LARGE, "full");
        assert_eq!(text, "413 Request Entity Too Large\n\nfull\n\n");
    }

    #[test]
    fn a_fault_says_when_to_come_back() {
        let error = Error::unavailable("later", Duration::from_secs(3)).with_decision("d-1");
        let response = render(Failure::from(error).into_response(), Form::Json);
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers().get(RETRY_AFTER).unwrap(), "3");
        assert_eq!(response.headers().get(DECISION).unwrap(), "d-1");
    }

    proptest! {
        #[test]
        fn no_accept_header_panics(accept in "[ -~]{0,60}") {
            form(Some(&accept), false);
        }
    }
}
