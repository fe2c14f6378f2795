//! Routes for the operator, on a listener of their own that is bound to loopback by default: metrics, health in
//! depth, the rules in force and the candidate beside them.

use std::{path::PathBuf, sync::Arc};

use axum::{
    Json, Router,
    extract::{RawQuery, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::json;

use crate::{
    app::App,
    rules::{Fault, Outcome, Removals},
    telemetry,
};

/// All of the operator's routes.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/health", get(health))
        .route("/rules", get(rules))
        .route("/rules/reload", post(reload))
        .route("/rules/shadow", get(shadow).put(start_shadow).delete(stop_shadow))
        .route("/rules/activate", post(activate))
        .route("/rules/rollback", post(rollback))
        .merge(super::admin_stores::router())
        .merge(super::copies::router())
        .merge(super::explain::router())
        .with_state(app)
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    let text = telemetry::render_metrics() + &super::admin_stores::gauges(&app.stores);
    ([("content-type", "text/plain; version=0.0.4")], text).into_response()
}

/// Database and each store, with the reason for what is not well.
async fn health(State(app): State<Arc<App>>) -> Response {
    let database = app.db.ping().await.map_err(|e| e.to_string());
    let (mut stores, mut down) = (Vec::new(), Vec::new());
    for entry in app.stores.iter() {
        let health = entry.health();
        if !health.healthy {
            down.push(entry.id().to_owned());
        }
        stores.push(json!({
            "id": entry.id(), "state": entry.state(), "healthy": health.healthy, "reason": health.reason,
        }));
    }
    let rules = app.rules.status();
    let well = database.is_ok() && down.is_empty() && rules.faults.is_empty();
    let body = json!({
        "status": if well { "ok" } else { "degraded" },
        "database": database.err().unwrap_or_else(|| "ok".into()),
        "stores": stores,
        "stores_down": down,
        "rules": rules,
    });
    let status = if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(body)).into_response()
}

async fn rules(State(app): State<Arc<App>>) -> Response {
    Json(app.rules.status()).into_response()
}

/// Answers 200 with the new generation, or 409 with the faults; the old generation serves on then.
async fn reload(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> Response {
    let removals = match query.as_deref().unwrap_or_default() {
        "" => Removals::Refused,
        "accept_removals=true" => Removals::Accepted,
        other => {
            let text = format!("`{other}` is not known here, only `accept_removals=true`");
            let faults = [Fault::new("query", None, text)];
            return (StatusCode::BAD_REQUEST, Json(json!({"faults": faults}))).into_response();
        }
    };
    app.rules.reload("admin route", removals).await;
    let status = app.rules.status();
    let code = if status.faults.is_empty() { StatusCode::OK } else { StatusCode::CONFLICT };
    (code, Json(status)).into_response()
}

/// A folder of policies on the gateway's machine.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Folder {
    folder: PathBuf,
}

/// The candidate, how many decisions were compared, and what differs; 404 when there is none.
async fn shadow(State(app): State<Arc<App>>) -> Response {
    match app.rules.candidate() {
        Some(status) => Json(status).into_response(),
        None => (StatusCode::NOT_FOUND, Json(json!({"folder": null}))).into_response(),
    }
}

/// Answers 200 with the new candidate, or 409 with its faults; whatever was asked before is asked on then.
async fn start_shadow(State(app): State<Arc<App>>, Json(of): Json<Folder>) -> Response {
    match app.rules.shadow_start(of.folder).await {
        Ok(status) => Json(status).into_response(),
        Err(faults) => (StatusCode::CONFLICT, Json(json!({"faults": faults}))).into_response(),
    }
}

/// Answers 404 when there was none.
async fn stop_shadow(State(app): State<Arc<App>>) -> Response {
    let code = if app.rules.shadow_stop() { StatusCode::OK } else { StatusCode::NOT_FOUND };
    (code, Json(json!({"folder": null}))).into_response()
}

/// Answers 200 with the generation in force, or 409 with the faults; nothing has changed then.
async fn activate(State(app): State<Arc<App>>, of: Option<Json<Folder>>) -> Response {
    outcome(app.rules.activate(of.map(|Json(of)| of.folder)).await)
}

/// As `activate`.
async fn rollback(State(app): State<Arc<App>>) -> Response {
    outcome(app.rules.rollback().await)
}

fn outcome(outcome: Outcome) -> Response {
    let code = match outcome {
        Outcome::Refused { .. } => StatusCode::CONFLICT,
        Outcome::Loaded { .. } | Outcome::Unchanged { .. } => StatusCode::OK,
    };
    (code, Json(outcome)).into_response()
}
