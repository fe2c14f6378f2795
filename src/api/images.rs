//! Images, and what import would be.

use axum::{
    body::Body,
    extract::{RawQuery, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode, Uri,
        header::{CONTENT_TYPE, ETAG, LOCATION},
    },
    response::IntoResponse,
};
use serde::Serialize;
use serde_json::json;

use super::{
    conditional::{self, Verdict},
    create,
    error::{Answer, Failure},
    extract::{self, Asked, NoBody, Segments},
    patch::{self, Dialect},
    query::Listed,
    router::Api,
    versions,
    wire::{ImageBody, ImagesBody},
};
use crate::{
    context::Context,
    error::Error,
    image::{self, View},
};

const STORE_IDS: HeaderName = HeaderName::from_static("openstack-image-store-ids");

pub(super) async fn list(State(api): State<Api>, Asked(ctx): Asked, RawQuery(query): RawQuery) -> Answer {
    let listed = Listed::parse(query.as_deref().unwrap_or_default(), &api.config.images)?;
    let page = image::list(&api.app, &ctx, &listed.query, listed.marker.as_deref(), listed.limit).await?;
    let known = image::known_stores(&api.app, &ctx)?;
    let body = ImagesBody {
        images: page.images.iter().map(|view| ImageBody::new(&api.app, &known, view)).collect(),
        first: listed.first(),
        next: page.next.as_deref().map(|marker| listed.next(marker)),
        schema: "/v2/schemas/images",
    };
    json_response(StatusCode::OK, &body)
}

pub(super) async fn create(
    State(api): State<Api>,
    Asked(ctx): Asked,
    headers: HeaderMap,
    uri: Uri,
    body: Body,
) -> Answer {
    let body = extract::json(body, &api.config.http).await?;
    let new = create::parse(&body, &api.config.images)?;
    let view = image::create(&api.app, &ctx, new).await?;
    let location = format!("{}/v2/images/{}", versions::base(&api.config, &headers, &uri), view.image.id);
    let mut response = image_response(&api, &ctx, StatusCode::CREATED, &view)?;
    let headers = response.headers_mut();
    headers.insert(LOCATION, HeaderValue::try_from(location).map_err(Error::internal)?);
    let stores: Vec<_> = image::known_stores(&api.app, &ctx)?.into_iter().collect();
    if let Ok(stores) = HeaderValue::try_from(stores.join(",")) {
        headers.insert(STORE_IDS, stores);
    }
    Ok(response)
}

pub(super) async fn show(
    State(api): State<Api>,
    Asked(ctx): Asked,
    Segments([id]): Segments<1>,
    headers: HeaderMap,
    _: NoBody,
) -> Answer {
    let view = image::show(&api.app, &ctx, &id).await?;
    let mut response = image_response(&api, &ctx, StatusCode::OK, &view)?;
    if conditional::check(&headers, response.headers().get(ETAG))? == Verdict::NotModified {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Body::empty();
    }
    Ok(response)
}

pub(super) async fn update(
    State(api): State<Api>,
    Asked(ctx): Asked,
    Segments([id]): Segments<1>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let dialect = Dialect::of(&headers)?;
    let body = extract::json(body, &api.config.http).await?;
    let changes = patch::parse(&body, dialect, &api.config.images)?;
    let expected = matched(&api, &ctx, &id, &headers).await?;
    let view = image::update(&api.app, &ctx, &id, &changes, expected).await?;
    image_response(&api, &ctx, StatusCode::OK, &view)
}

pub(super) async fn delete(
    State(api): State<Api>,
    Asked(ctx): Asked,
    Segments([id]): Segments<1>,
    headers: HeaderMap,
    _: NoBody,
) -> Answer<StatusCode> {
    let expected = matched(&api, &ctx, &id, &headers).await?;
    image::delete(&api.app, &ctx, &id, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn deactivate(
    State(api): State<Api>,
    Asked(ctx): Asked,
    Segments([id]): Segments<1>,
    _: NoBody,
) -> Answer<StatusCode> {
    image::deactivate(&api.app, &ctx, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn reactivate(
    State(api): State<Api>,
    Asked(ctx): Asked,
    Segments([id]): Segments<1>,
    _: NoBody,
) -> Answer<StatusCode> {
    image::reactivate(&api.app, &ctx, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// No task ever works on an image here: the list of a visible image is empty.
pub(super) async fn tasks(State(api): State<Api>, Asked(ctx): Asked, Segments([id]): Segments<1>, _: NoBody) -> Answer {
    image::show(&api.app, &ctx, &id).await?;
    json_response(StatusCode::OK, &json!({"tasks": []}))
}

/// Staging is a part of import, which has no method here.
pub(super) async fn stage() -> Answer<()> {
    Err(Error::not_found("'glance-direct' method is not available at this site.").into())
}

/// Refuses every method by its name, since none is enabled.
pub(super) async fn import(State(api): State<Api>, body: Body) -> Answer<()> {
    let body = extract::json(body, &api.config.http).await?;
    let text = match body.get("method").map(|m| m.get("name")) {
        None => "Import request requires a 'method' field.".to_owned(),
        Some(None) => "Import request requires a 'name' field.".to_owned(),
        Some(Some(name)) => {
            let name = super::attributes::shown(name);
            format!("Unknown import method name '{}'.", name.trim_matches('\''))
        }
    };
    Err(Error::invalid(text).into())
}

/// `If-Match` before a change: compared with what the caller would be shown now. The version that this was is the only
/// one that the change may be made to.
async fn matched(api: &Api, ctx: &Context, id: &str, headers: &HeaderMap) -> Answer<Option<i64>> {
    if !headers.contains_key("if-match") && !headers.contains_key("if-none-match") {
        return Ok(None);
    }
    let view = image::show(&api.app, ctx, id).await?;
    let current = image_response(api, ctx, StatusCode::OK, &view)?;
    match conditional::check(headers, current.headers().get(ETAG))? {
        Verdict::Proceed => Ok(Some(view.image.version)),
        Verdict::NotModified => {
            let text = "The image is what the If-None-Match header says.";
            Err(Failure::new(StatusCode::PRECONDITION_FAILED, text))
        }
    }
}

fn image_response(api: &Api, ctx: &Context, status: StatusCode, view: &View) -> Answer {
    let known = image::known_stores(&api.app, ctx)?;
    let body = serde_json::to_vec(&ImageBody::new(&api.app, &known, view)).map_err(Error::internal)?;
    let tag = conditional::body_tag(&body);
    let headers = [(CONTENT_TYPE, HeaderValue::from_static("application/json")), (ETAG, tag)];
    Ok((status, headers, Body::from(body)).into_response())
}

/// A response whose body is `value` as JSON.
pub(super) fn json_response<T: Serialize>(status: StatusCode, value: &T) -> Answer {
    let body = serde_json::to_vec(value).map_err(Error::internal)?;
    let headers = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    Ok((status, headers, Body::from(body)).into_response())
}
