//! What happens to every request before its handler and to every response after it: the outermost part of the API.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    panic::AssertUnwindSafe,
    time::Instant,
};

use axum::{
    body::Body,
    extract::{ConnectInfo, MatchedPath, Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri,
        header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, WWW_AUTHENTICATE},
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;

use super::{
    error::{self, Answer, Failure, Form},
    extract::Asked,
    request_id,
    router::Api,
    versions::{self, Place},
};
use crate::{
    context::Context,
    error::{Error, Kind},
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-openstack-request-id");
const RULES: HeaderName = HeaderName::from_static("x-fanlight-rules");

/// The route that took a request, for metrics.
#[derive(Clone)]
struct Route(MatchedPath);

/// Lets a request in, and dresses the response.
pub(super) async fn pass(State(api): State<Api>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let _running = Running::begin();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let form = Form::negotiate(request.headers(), api.config.images.html_errors);
    let (id, refused) = match request_id::of(request.headers()) {
        Ok(id) => (id, None),
        Err(failure) => (request_id::fresh(), Some(failure)),
    };

    let response = match refused {
        Some(failure) => failure.into_response(),
        None => {
            let inside = AssertUnwindSafe(enter(&api, request, next, &id)).catch_unwind();
            inside.await.unwrap_or_else(|_| defect())
        }
    };
    let mut response = error::render(response, form);
    if matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        // The router counts the empty body; a length here would speak of the body that is not sent.
        response.headers_mut().remove(CONTENT_LENGTH);
    }
    if let Ok(value) = HeaderValue::try_from(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    record(&method, &path, &id, &response, started);
    response
}

/// A handler that panicked: the panic hook has logged where.
fn defect() -> Response {
    Failure::from(Error::internal("a handler panicked")).into_response()
}

async fn enter(api: &Api, mut request: Request, next: Next, id: &str) -> Response {
    match Place::of(request.uri(), request.headers()) {
        Place::Health => return health(request.method()),
        Place::Versions => {
            return versions::list(StatusCode::OK, &api.config, request.headers(), request.uri());
        }
        Place::Choices => {
            return versions::list(StatusCode::MULTIPLE_CHOICES, &api.config, request.headers(), request.uri());
        }
        Place::V2(Some(uri)) => *request.uri_mut() = uri,
        Place::V2(None) => {}
    }
    let caller = match api.identity.authenticate(request.headers(), peer(&request)).await {
        Ok(caller) => caller,
        Err(error) => return unidentified(api, error),
    };
    let rules = api.rules.current();
    let generation = rules.generation;
    let shadow = api.rules.shadow();
    let ctx = Context { request_id: id.to_owned(), caller, rules, shadow, journal: api.journal.clone() };
    request.extensions_mut().insert(Asked(ctx.clone()));
    let mut response = next.run(request).await;
    error::note_refusal(&mut response, |reason| ctx.journal.refused(&ctx, reason));
    response.headers_mut().insert(RULES, generation.into());
    response
}

fn health(method: &Method) -> Response {
    if *method == Method::GET || *method == Method::HEAD {
        let content_type = (CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=UTF-8"));
        ([content_type], "OK").into_response()
    } else {
        (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, HeaderValue::from_static("GET,HEAD"))]).into_response()
    }
}

/// A connection whose peer is unknown is trusted by no configuration.
fn peer(request: &Request) -> IpAddr {
    let info = request.extensions().get::<ConnectInfo<SocketAddr>>();
    info.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(peer)| peer.ip())
}

fn unidentified(api: &Api, error: Error) -> Response {
    let denied = error.kind() == Kind::Unauthenticated;
    let mut failure = Failure::from(error);
    if denied && let Some(challenge) = api.identity.challenge().and_then(|c| HeaderValue::try_from(c).ok()) {
        failure = failure.with_header(WWW_AUTHENTICATE, challenge);
    }
    failure.into_response()
}

/// Notes which route took the request.
pub(super) async fn label(path: MatchedPath, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.extensions_mut().insert(Route(path));
    response
}

/// The answer to a path that is none of ours.
pub(super) async fn no_route(method: Method) -> Failure {
    const KNOWN: [Method; 6] = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::PATCH];
    if KNOWN.contains(&method) {
        Failure::new(StatusCode::NOT_FOUND, "The resource could not be found.")
    } else {
        Failure::new(StatusCode::NOT_IMPLEMENTED, "The request method is not implemented for this server.")
    }
}

/// `/v2` is `/v2/`.
pub(super) async fn to_slash(State(api): State<Api>, headers: HeaderMap, uri: Uri) -> Answer {
    let location = format!("{}/v2/", versions::base(&api.config, &headers, &uri));
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::FOUND;
    response.headers_mut().insert(LOCATION, HeaderValue::try_from(location).map_err(Error::internal)?);
    Ok(response)
}

/// Counts a request as running while it lives.
struct Running;

impl Running {
    fn begin() -> Self {
        metrics::gauge!("http_requests_in_flight").increment(1.0);
        Self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        metrics::gauge!("http_requests_in_flight").decrement(1.0);
    }
}

/// The line in the access log, and the figures.
fn record(method: &Method, path: &str, id: &str, response: &Response, started: Instant) {
    let took = started.elapsed();
    let status = response.status();
    let route =
        response.extensions().get::<Route>().map_or_else(|| "none".to_owned(), |Route(r)| r.as_str().to_owned());
    // Clients may invent methods; time series they may not.
    let verb = match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "other",
    };
    metrics::histogram!("http_request_duration_seconds", "method" => verb, "route" => route.clone()).record(took);
    metrics::counter!("http_requests_total", "method" => verb, "route" => route, "status" => status.as_u16().to_string())
        .increment(1);
    let took_us = took.as_micros();
    tracing::info!(target: "fanlight::access", %method, path, status = status.as_u16(), took_us, request_id = id, "request");
}
