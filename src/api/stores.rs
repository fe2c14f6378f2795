//! Single copies of images.

use axum::{extract::State, http::StatusCode};

use super::{
    error::Answer,
    extract::{Asked, NoBody, Segments},
    router::Api,
};
use crate::image;

pub(super) async fn remove_copy(
    State(api): State<Api>,
    Asked(ctx): Asked,
    Segments([store, id]): Segments<2>,
    _: NoBody,
) -> Answer<StatusCode> {
    image::remove_copy(&api.app, &ctx, &store, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
