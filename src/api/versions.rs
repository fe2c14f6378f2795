//! Discovery: which versions there are, and which of them the path or the `Accept` header of a request names.

use axum::{
    body::Body,
    http::{
        HeaderMap, HeaderValue, StatusCode, Uri,
        header::{ACCEPT, CONTENT_TYPE, HOST},
        uri::{Authority, PathAndQuery},
    },
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::config::Config;

/// Advertised versions in the order of the list. 2.14, 2.16 and 2.18 are those of the image cache.
const VERSIONS: [&str; 16] = [
    "2.15", "2.13", "2.12", "2.11", "2.10", "2.9", "2.8", "2.17", "2.7", "2.6", "2.5", "2.4", "2.3", "2.2", "2.1",
    "2.0",
];
const CURRENT: &str = "2.17";
const MEDIA_TYPE: &str = "application/vnd.openstack.images-";

/// Where a request belongs.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// `/healthcheck`
    Health,
    /// `/versions`: the list, asked for by name.
    Versions,
    /// No version that we know: the list, as a choice.
    Choices,
    /// API v2, whatever the path calls it; with the path in its one true form if that differs.
    V2(Option<Uri>),
}

impl Place {
    pub fn of(uri: &Uri, headers: &HeaderMap) -> Self {
        let path = uri.path();
        let bare = path.trim_start_matches('/');
        let (segment, rest) = match bare.split_once('/') {
            Some((segment, rest)) => (segment, Some(rest)),
            None => (bare, None),
        };
        match segment {
            "healthcheck" if rest.is_none() => Self::Health,
            "versions" => Self::Versions,
            "v2" if path.starts_with("/v2") => Self::V2(None),
            word if is_version(word) => Self::rewritten(uri, rest.map(|r| format!("/v2/{r}"))),
            _ if by_media_type(headers) => Self::rewritten(uri, Some(format!("/v2/{bare}"))),
            _ => Self::Choices,
        }
    }

    fn rewritten(uri: &Uri, path: Option<String>) -> Self {
        let mut text = path.unwrap_or_else(|| "/v2".into());
        if let Some(query) = uri.query() {
            text.push('?');
            text.push_str(query);
        }
        let mut parts = uri.clone().into_parts();
        match PathAndQuery::try_from(text) {
            Ok(path) => parts.path_and_query = Some(path),
            Err(_) => return Self::Choices,
        }
        Uri::from_parts(parts).map_or(Self::Choices, |uri| Self::V2(Some(uri)))
    }
}

/// `v2` and the advertised minor versions.
fn is_version(word: &str) -> bool {
    word.strip_prefix('v').is_some_and(|v| v == "2" || VERSIONS.contains(&v))
}

fn by_media_type(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|v| v.to_str().ok());
    accept.and_then(|a| a.strip_prefix(MEDIA_TYPE)).is_some_and(|v| is_version(v.trim()))
}

/// The list of versions.
pub(super) fn list(status: StatusCode, config: &Config, headers: &HeaderMap, uri: &Uri) -> Response {
    let href = format!("{}/v2/", base(config, headers, uri));
    let entry = |version: &str| {
        let status = if version == CURRENT { "CURRENT" } else { "SUPPORTED" };
        json!({"id": format!("v{version}"), "status": status, "links": [{"rel": "self", "href": href}]})
    };
    let body = json!({"versions": VERSIONS.map(entry)}).to_string();
    let content_type = (CONTENT_TYPE, HeaderValue::from_static("application/json"));
    (status, [content_type], Body::from(body)).into_response()
}

/// What clients put before a path, without a slash at the end: as configured, or as they reached us.
pub(super) fn base(config: &Config, headers: &HeaderMap, uri: &Uri) -> String {
    if let Some(url) = &config.public_endpoint {
        return url.as_str().trim_end_matches('/').to_owned();
    }
    let host = headers.get(HOST).and_then(|h| h.to_str().ok()).and_then(|h| h.parse::<Authority>().ok());
    match host.as_ref().or(uri.authority()) {
        Some(host) => format!("http://{host}"),
        None => format!("http://{}", config.listen),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place(path: &str, accept: Option<&'static str>) -> String {
        let headers = accept.map(|a| (ACCEPT, HeaderValue::from_static(a)));
        match Place::of(&path.parse().unwrap(), &HeaderMap::from_iter(headers)) {
            Place::V2(Some(uri)) => uri.to_string(),
            Place::V2(None) => path.to_owned(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn paths_name_a_version() {
        let rows = [
            ("/", "Choices"),
            ("/v1/images", "Choices"),
            ("/v3/", "Choices"),
            ("/foo", "Choices"),
            ("/v2.14/images", "Choices"),
            ("/v2.18/images", "Choices"),
            ("/v2.99/images", "Choices"),
            ("/versions", "Versions"),
            ("/versions/x", "Versions"),
            ("/healthcheck", "Health"),
            ("/healthcheck/x", "Choices"),
            ("/v2", "/v2"),
            ("/v2/", "/v2/"),
            ("/v2/images?limit=1", "/v2/images?limit=1"),
            ("/v2.9/images?limit=1", "/v2/images?limit=1"),
            ("/v2.17", "/v2"),
            ("//v2/images", "/v2/images"),
        ];
        for (path, want) in rows {
            assert_eq!(place(path, None), want, "{path}");
        }
    }

    #[test]
    fn a_media_type_names_a_version() {
        assert_eq!(place("/images?limit=1", Some("application/vnd.openstack.images-v2")), "/v2/images?limit=1");
        assert_eq!(place("/images", Some("application/vnd.openstack.images-v2.7")), "/v2/images");
        assert_eq!(place("/images", Some("application/vnd.openstack.images-v9")), "Choices");
        assert_eq!(place("/v2/images", Some("application/vnd.openstack.images-v2")), "/v2/images");
    }

    proptest! {
        #[test]
        fn any_path_has_a_place(path in "/[!-~]{0,30}") {
            if let Ok(uri) = path.parse::<Uri>() {
                Place::of(&uri, &HeaderMap::new());
            }
        }
    }
}
