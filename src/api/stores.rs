//! Where data lies: the locations of an image and single copies.

use axum::{extract::State, http::StatusCode};

use super::{
    error::Answer,
    extract::{Asked, NoBody, Segments},
    images::json_response,
    router::Api,
    wire::LocationBody,
};
use crate::image;

/// A bare array, unlike every other list of this API.
pub(super) async fn locations(
    State(api): State<Api>,
    Asked(ctx): Asked,
    Segments([id]): Segments<1>,
    _: NoBody,
) -> Answer {
    let locations = image::locations(&api.app, &ctx, &id).await?;
    let body: Vec<_> = locations.iter().map(LocationBody::new).collect();
    json_response(StatusCode::OK, &body)
}

pub(super) async fn remove_copy(
    State(api): State<Api>,
    Asked(ctx): Asked,
    Segments([store, id]): Segments<2>,
    _: NoBody,
) -> Answer<StatusCode> {
    image::remove_copy(&api.app, &ctx, &store, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
