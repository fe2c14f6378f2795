//! The stores, for the operator: routes on the admin listener.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::json;

use crate::{app::App, store::Status};

pub(super) fn router() -> Router<Arc<App>> {
    Router::new().route("/stores", get(list))
}

/// Every store as this gateway sees it.
async fn list(State(app): State<Arc<App>>) -> Response {
    let default = app.stores.default_store();
    let stores: Vec<_> = app.stores.iter().map(|entry| Status::of(entry, default.id())).collect();
    Json(json!({"stores": stores})).into_response()
}
