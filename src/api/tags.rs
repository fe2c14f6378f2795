//! Tags one by one.

use axum::{extract::State, http::StatusCode};

use super::{
    attributes,
    error::Answer,
    extract::{Asked, NoBody, Segments},
    router::Api,
};
use crate::image;

pub(super) async fn add(
    State(api): State<Api>,
    Asked(ctx): Asked,
    Segments([id, tag]): Segments<2>,
    _: NoBody,
) -> Answer<StatusCode> {
    attributes::check_tag(&tag, &api.config.images)?;
    image::add_tag(&api.app, &ctx, &id, &tag).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn remove(
    State(api): State<Api>,
    Asked(ctx): Asked,
    Segments([id, tag]): Segments<2>,
    _: NoBody,
) -> Answer<StatusCode> {
    image::remove_tag(&api.app, &ctx, &id, &tag).await?;
    Ok(StatusCode::NO_CONTENT)
}
