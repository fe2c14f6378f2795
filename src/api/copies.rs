//! Copies of images between stores: the operator's routes.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
    routing::get,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    error::{Answer, Form, render},
    extract,
};
use crate::{
    app::App,
    db::Transfer,
    error::Error,
    image::{cancel_copy, copy},
};

/// Copies of one answer at most.
const SHOWN: u32 = 1000;

pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/copies", get(list).post(begin))
        .route("/copies/{id}", get(show).delete(cancel))
        .layer(axum::middleware::map_response(|response: Response| async { render(response, Form::Json) }))
}

/// Which image, and where to; without a store, placement chooses.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    image: String,
    store: Option<String>,
}

/// Answers 202: the copy is in the queue.
async fn begin(State(app): State<Arc<App>>, body: Body) -> Answer<(StatusCode, Json<Transfer>)> {
    let wish: Value = extract::json(body, &app.config.http).await?;
    let wish: Wish = serde_json::from_value(wish).map_err(|e| Error::invalid(e.to_string()))?;
    let copy = copy(&app, &wish.image, wish.store.as_deref()).await?;
    Ok((StatusCode::ACCEPTED, Json(copy)))
}

/// The newest first.
async fn list(State(app): State<Arc<App>>) -> Answer<Json<Value>> {
    Ok(Json(json!({"copies": app.db.copies(SHOWN).await?})))
}

async fn show(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answer<Json<Transfer>> {
    match app.db.copy(&id).await? {
        Some(copy) => Ok(Json(copy)),
        None => Err(Error::not_found(format!("There is no copy {}", id.escape_debug())).into()),
    }
}

/// Answers 202: what the copy wrote is being removed.
async fn cancel(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answer<(StatusCode, Json<Transfer>)> {
    Ok((StatusCode::ACCEPTED, Json(cancel_copy(&app, &id).await?)))
}
