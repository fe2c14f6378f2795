//! What handlers take from a request, with refusals in the service's own words.

use std::time::Duration;

use axum::{
    body::Body,
    extract::{FromRequestParts, RawPathParams},
    http::{
        HeaderMap, Method, StatusCode,
        header::{CONTENT_LENGTH, TRANSFER_ENCODING},
        request::Parts,
    },
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::Value as Json;

use super::{attributes::TEXT_MAX, error::Failure};
use crate::{
    config,
    context::Context,
    error::{Error, Kind},
};

/// The caller and the rules of this request, put there by the middleware.
#[derive(Clone)]
pub(super) struct Asked(pub Context);

impl<S: Sync> FromRequestParts<S> for Asked {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let missing = || Error::internal("a route was reached without the middleware that identifies callers");
        parts.extensions.remove::<Self>().ok_or_else(|| missing().into())
    }
}

/// The variable segments of a path. One that no id, tag or project can be is not there.
#[derive(Debug)]
pub(super) struct Segments<const N: usize>(pub [String; N]);

impl<S: Send + Sync, const N: usize> FromRequestParts<S> for Segments<N> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let unknown = || Failure::new(StatusCode::NOT_FOUND, "The resource could not be found.");
        let raw = RawPathParams::from_request_parts(parts, state).await.map_err(|_| unknown())?;
        let values: Vec<String> = raw.iter().map(|(_, value)| value.to_owned()).collect();
        if values.iter().any(|v| v.contains('\0') || v.len() > 4 * (TEXT_MAX + 1)) {
            return Err(unknown());
        }
        values.try_into().map(Self).map_err(|_| unknown())
    }
}

/// Proof that the request has no body, on routes that take none.
#[derive(Debug)]
pub(super) struct NoBody;

impl<S: Sync> FromRequestParts<S> for NoBody {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let length = parts.headers.get(CONTENT_LENGTH).is_some_and(|v| v.as_bytes() != b"0");
        let chunked = parts.headers.contains_key(TRANSFER_ENCODING)
            && [Method::POST, Method::PUT, Method::PATCH].contains(&parts.method);
        if length || chunked {
            return Err(Error::invalid("A body is not expected with this request.").into());
        }
        Ok(Self)
    }
}

/// The JSON document of a body: bounded in length and in time, and an object or an array.
pub(super) async fn json(body: Body, limits: &config::Http) -> Result<Json, Error> {
    let collecting = Limited::new(body, limits.json_max).collect();
    let idle = Duration::from_secs(limits.idle_timeout_s);
    let bytes = match tokio::time::timeout(idle, collecting).await {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return Err(Error::too_large(format!("The request body is larger than {} bytes.", limits.json_max)));
        }
        Ok(Err(error)) => return Err(Error::invalid("The request body was cut off.").with_source(error)),
        Err(_) => return Err(Error::invalid("The request body did not arrive in time.")),
    };
    if bytes.is_empty() {
        return Err(Error::invalid("Body expected in request."));
    }
    let json: Json = serde_json::from_slice(&bytes)
        .map_err(|e| Error::new(Kind::Invalid, "Malformed JSON in request body.").with_source(e))?;
    if json.is_object() || json.is_array() {
        Ok(json)
    } else {
        Err(Error::invalid("Unexpected body type. Expected list/dict."))
    }
}

/// The value of header `name` as text.
pub(super) fn text<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, Error> {
    headers
        .get(name)
        .map(|value| value.to_str().map(str::trim))
        .transpose()
        .map_err(|_| Error::invalid(format!("Invalid {name} header.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(body: &str, json_max: usize) -> Result<Json, String> {
        let limits = config::Http { json_max, ..config::Http::default() };
        json(Body::from(body.to_owned()), &limits).await.map_err(|e| format!("{:?}: {}", e.kind(), e.message()))
    }

    #[tokio::test]
    async fn bodies_are_objects_or_arrays_of_bounded_length() {
        assert!(read("{}", 9).await.is_ok());
        assert!(read("[1]", 9).await.is_ok());
        assert_eq!(read("", 9).await.unwrap_err(), "Invalid: Body expected in request.");
        assert_eq!(read("{", 9).await.unwrap_err(), "Invalid: Malformed JSON in request body.");
        assert_eq!(read("\"x\"", 9).await.unwrap_err(), "Invalid: Unexpected body type. Expected list/dict.");
        assert_eq!(read("[1,2,3,4,5]", 9).await.unwrap_err(), "TooLarge: The request body is larger than 9 bytes.");
        let deep = "[".repeat(100_000);
        assert_eq!(read(&deep, 1 << 20).await.unwrap_err(), "Invalid: Malformed JSON in request body.");
    }
}
