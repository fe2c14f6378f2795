//! Data of images.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, BodyDataStream},
    extract::{RawQuery, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
        header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG},
    },
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};

use super::{
    conditional::{self, Verdict},
    download::Outgoing,
    error::{Answer, Failure},
    extract::{self, Asked, NoBody, Segments},
    patch::media_type,
    query,
    ranges::Part,
    router::Api,
};
use crate::{
    error::{Error, Result},
    image::{self, Download, UploadRequest},
};

const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");
const OCTETS: &str = "application/octet-stream";
/// Stores that one download may prefer at most.
const PREFER_MAX: usize = 64;

pub(super) async fn download(
    State(api): State<Api>,
    Asked(ctx): Asked,
    Segments([id]): Segments<1>,
    RawQuery(query): RawQuery,
    method: Method,
    headers: HeaderMap,
    _: NoBody,
) -> Answer {
    let prefer = preferred(query.as_deref().unwrap_or_default())?;
    let Some(download) = image::download(&api.app, &ctx, &id, &prefer).await? else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let tag = conditional::data_tag(download.image.os_hash_value.as_deref());
    if conditional::check(&headers, tag.as_ref())? == Verdict::NotModified {
        let mut response = StatusCode::NOT_MODIFIED.into_response();
        response.headers_mut().extend(tag.map(|tag| (ETAG, tag)));
        return Ok(response);
    }
    let part = match conditional::range_holds(&headers, tag.as_ref()) {
        true => Part::of(&headers, download.size)?,
        false => None,
    };
    let mut response = head(&download, part)?;
    response.headers_mut().extend(tag.map(|tag| (ETAG, tag)));
    if method != Method::HEAD {
        let whole = Part { start: 0, end: download.size };
        let idle = Duration::from_secs(api.config.http.idle_timeout_s);
        *response.body_mut() = Body::new(Outgoing::start(download, part.unwrap_or(whole), idle));
    }
    Ok(response)
}

/// Status and headers: all that a HEAD is told.
fn head(download: &Download, part: Option<Part>) -> Answer {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(OCTETS));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CONTENT_LENGTH, part.map_or(download.size, Part::len).into());
    if let Some(checksum) = &download.image.checksum {
        // Hex, and of the whole image even for a part of it: this is what compute nodes compare with.
        headers.insert(CONTENT_MD5, HeaderValue::try_from(checksum).map_err(Error::internal)?);
    }
    if let Some(part) = part {
        headers.insert(CONTENT_RANGE, part.header(download.size));
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

/// Stores in the order of the client's wish.
fn preferred(query: &str) -> Result<Vec<String>> {
    let mut stores: Vec<String> = Vec::new();
    for (name, value) in query::decode(query)? {
        if name == "prefer" {
            stores.extend(value.split(',').map(str::trim).filter(|s| !s.is_empty()).map(str::to_owned));
        }
    }
    if stores.len() > PREFER_MAX {
        return Err(Error::invalid(format!("At most {PREFER_MAX} stores can be preferred.")));
    }
    Ok(stores)
}

pub(super) async fn upload(
    State(api): State<Api>,
    Asked(ctx): Asked,
    Segments([id]): Segments<1>,
    headers: HeaderMap,
    body: Body,
) -> Answer<StatusCode> {
    match media_type(&headers) {
        Some(t) if t.eq_ignore_ascii_case(OCTETS) => {}
        other => {
            let text = format!("Invalid content type {}", other.unwrap_or("None"));
            return Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
        }
    }
    let store = extract::text(&headers, "x-image-meta-store")?.filter(|s| !s.is_empty()).map(str::to_owned);
    let request = UploadRequest { declared: declared(&headers)?, store };
    let idle = Duration::from_secs(api.config.http.idle_timeout_s);
    image::upload(&api.app, &ctx, &id, request, incoming(body, idle)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The size that the client announces; a length of zero announces nothing.
fn declared(headers: &HeaderMap) -> Result<Option<u64>> {
    let number = |text: &str| {
        text.parse::<u64>().map_err(|_| Error::invalid("Invalid or missing image size in request headers."))
    };
    if let Some(size) = extract::text(headers, "x-openstack-image-size")? {
        return number(size).map(Some);
    }
    let length = extract::text(headers, "content-length")?.map(number).transpose()?;
    Ok(length.filter(|l| *l > 0))
}

/// Why the data of a client ended before its end.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum CutOff {
    /// The connection broke, or the client sent something that is no HTTP.
    #[error("the connection ended before the body: {0}")]
    Connection(Arc<axum::Error>),
    /// Nothing came for too long.
    #[error("no data arrived for {0} s")]
    Idle(u64),
}

/// The chunks of a body. Silence for longer than `idle` ends it as a broken connection does.
fn incoming(
    body: Body,
    idle: Duration,
) -> impl Stream<Item = std::result::Result<Bytes, CutOff>> + Send + Unpin + 'static {
    let chunks = stream::unfold(Some(body.into_data_stream()), move |open: Option<BodyDataStream>| async move {
        let mut body = open?;
        match tokio::time::timeout(idle, body.next()).await {
            Ok(Some(Ok(chunk))) => Some((Ok(chunk), Some(body))),
            Ok(Some(Err(error))) => Some((Err(CutOff::Connection(Arc::new(error))), None)),
            Ok(None) => None,
            Err(_) => Some((Err(CutOff::Idle(idle.as_secs())), None)),
        }
    });
    Box::pin(chunks)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn wishes_keep_their_order() {
        assert_eq!(preferred("prefer=b,%20a&x=1&prefer=c,,").unwrap(), ["b", "a", "c"]);
        assert!(preferred("").unwrap().is_empty());
        assert!(preferred(&format!("prefer={}", "a,".repeat(65))).is_err());
        assert!(preferred("prefer=%ff").is_err());
    }

    fn size(pairs: &[(&'static str, &str)]) -> Option<Option<u64>> {
        let headers = pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap()));
        declared(&HeaderMap::from_iter(headers)).ok()
    }

    #[test]
    fn the_size_may_be_announced_twice() {
        assert_eq!(size(&[]), Some(None));
        assert_eq!(size(&[("content-length", "5")]), Some(Some(5)));
        assert_eq!(size(&[("content-length", "0")]), Some(None));
        assert_eq!(size(&[("content-length", "5"), ("x-openstack-image-size", "7")]), Some(Some(7)));
        for bad in ["", "x", "-1", "1.5", "99999999999999999999"] {
            assert_eq!(size(&[("x-openstack-image-size", bad)]), None, "{bad}");
        }
    }

    #[tokio::test]
    async fn silence_ends_an_upload() {
        let silent = Body::from_stream(
            stream::once(async { Ok::<_, CutOff>(Bytes::from_static(b"a")) }).chain(stream::pending()),
        );
        let got: Vec<_> = incoming(silent, Duration::from_millis(50)).collect().await;
        assert_eq!(got.len(), 2);
        assert!(matches!(got.last(), Some(Err(CutOff::Idle(_)))));
        let whole: Vec<_> = incoming(Body::from("abc"), Duration::from_millis(50)).collect().await;
        assert!(whole.iter().all(std::result::Result::is_ok));
    }

    proptest! {
        #[test]
        fn any_size_is_taken_or_refused(value in "[ -~]{0,24}") {
            size(&[("x-openstack-image-size", &value)]);
        }
    }
}
