//! The stores, for the operator: routes on the admin listener, and their figures as metrics.

use std::{fmt::Write, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use serde::Deserialize;
use serde_json::json;

use super::error::{Answer, Form, render};
use crate::{
    app::{App, Reload},
    config::StoreState,
    store::{Figures, Status, Stores},
};

pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/stores", get(list))
        .route("/stores/reload", post(reload))
        .route("/stores/{id}/state", put(state))
        .layer(axum::middleware::map_response(|response: Response| async { render(response, Form::Json) }))
}

/// Every store as this gateway sees it.
async fn list(State(app): State<Arc<App>>) -> Response {
    let default = app.stores.default_store();
    let stores: Vec<_> = app.stores.iter().map(|entry| Status::of(&entry, default.id())).collect();
    Json(json!({"stores": stores})).into_response()
}

/// Answers 200 with what changed, or 409 with the faults; the stores before serve on then.
async fn reload(State(app): State<Arc<App>>) -> Response {
    let outcome = app.reload_stores("admin route").await;
    let code = if matches!(outcome, Reload::Refused { .. }) { StatusCode::CONFLICT } else { StatusCode::OK };
    (code, Json(outcome)).into_response()
}

/// A state, or null for the configured one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    state: Option<StoreState>,
}

/// Answers with the store and what it holds: who drains it learns what is left to move.
async fn state(State(app): State<Arc<App>>, Path(id): Path<String>, Json(wish): Json<Wish>) -> Answer {
    let (entry, holds) = app.set_store_state(&id, wish.state).await?;
    let status = Status::of(&entry, app.stores.default_store().id());
    Ok(Json(json!({"store": status, "holds": holds})).into_response())
}

/// The figures of every store in the text form of Prometheus. Written here at each scrape: a store that was removed
/// leaves no series behind.
pub(super) fn gauges(stores: &Stores) -> String {
    type Gauge = (&'static str, &'static str, fn(&Figures) -> f64);
    const GAUGES: [Gauge; 5] = [
        ("fanlight_store_total_bytes", "Bytes of the store; 0 when not known", |f| f.total as f64),
        ("fanlight_store_free_bytes", "Bytes that are free", |f| f.free as f64),
        ("fanlight_store_healthy", "1 when the last probe went well", |f| f64::from(u8::from(f.healthy))),
        ("fanlight_store_in_flight", "Uploads under way through this gateway", |f| f64::from(f.in_flight)),
        ("fanlight_store_latency_seconds", "Time that the store takes to answer, smoothed", |f| {
            f64::from(f.latency_us) / 1e6
        }),
    ];
    let all: Vec<_> = stores.iter().map(|entry| (entry.id().to_owned(), entry.figures())).collect();
    let mut text = String::new();
    // Writing to a string does not fail. An id holds nothing that would have to be escaped.
    for (name, help, value) in GAUGES {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (id, figures) in &all {
            let _ = writeln!(text, "{name}{{store=\"{id}\"}} {}", value(figures));
        }
    }
    let name = "fanlight_store_state";
    let _ = writeln!(text, "# HELP {name} 1 for the state that the store is in\n# TYPE {name} gauge");
    for (id, figures) in &all {
        for state in StoreState::ALL {
            let on = u8::from(figures.state == state);
            let _ = writeln!(text, "{name}{{store=\"{id}\",state=\"{}\"}} {on}", state.as_str());
        }
    }
    text
}
