//! Ids of requests: adopted from the caller where possible, so that one id follows a call through all services.

use axum::http::{HeaderMap, StatusCode};
use uuid::Uuid;

use super::error::Failure;

const PREFIX: &str = "req-";
/// Characters of an id at most, prefix included.
const MAX: usize = 64;

/// The id of this request.
///
/// # Errors
/// 431 when the caller's id is too long.
pub(super) fn of(headers: &HeaderMap) -> Result<String, Failure> {
    let Some(value) = headers.get("x-openstack-request-id") else { return Ok(fresh()) };
    if value.len() > MAX {
        return Err(too_long());
    }
    let Some(id) = value.to_str().ok().filter(|id| is_plain(id)) else { return Ok(fresh()) };
    let id = if id.starts_with(PREFIX) { id.to_owned() } else { format!("{PREFIX}{id}") };
    if id.len() > MAX { Err(too_long()) } else { Ok(id) }
}

/// An id that was never used.
pub(super) fn fresh() -> String {
    format!("{PREFIX}{}", Uuid::new_v4())
}

fn too_long() -> Failure {
    let text = format!("The X-OpenStack-Request-Id header is longer than {MAX} characters.");
    Failure::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, text)
}

/// Ids go into logs and databases: anything that could be more than a word there is replaced.
fn is_plain(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
}

#[cfg(test)]
mod tests {
    use axum::{
        http::{HeaderName, HeaderValue},
        response::IntoResponse,
    };
    use proptest::prelude::*;

    use super::*;

    fn id(value: &str) -> Result<String, u16> {
        let name = HeaderName::from_static("x-openstack-request-id");
        let headers = HeaderMap::from_iter([(name, HeaderValue::from_bytes(value.as_bytes()).unwrap())]);
        of(&headers).map_err(|f| f.into_response().status().as_u16())
    }

    #[test]
    fn adopts_and_prefixes() {
        assert_eq!(id("req-1").as_deref(), Ok("req-1"));
        assert_eq!(id("1").as_deref(), Ok("req-1"));
        assert_eq!(id(&"x".repeat(60)).unwrap().len(), 64);
        assert_eq!(id(&"x".repeat(61)), Err(431));
        assert_eq!(id(&"x".repeat(65)), Err(431));
        assert_ne!(id("a b").as_deref(), Ok("req-a b"));
        assert_ne!(of(&HeaderMap::new()).unwrap(), of(&HeaderMap::new()).unwrap());
    }

    proptest! {
        #[test]
        fn an_id_is_always_one_word(value in "[ -~]{0,70}") {
            match id(&value) {
                Ok(id) => prop_assert!(id.starts_with("req-") && id.len() <= 64 && is_plain(&id)),
                Err(status) => prop_assert_eq!(status, 431),
            }
        }
    }
}
