//! Every route, in one place.

use std::{ops::Deref, sync::Arc};

use axum::{
    Router, middleware,
    response::IntoResponse,
    routing::{delete, get, post, put},
};

use super::{gate, image_data, images, info, locations, members, schemas, schemas::Schemas, stores, tags};
use crate::app::App;

/// What handlers share.
#[derive(Clone)]
pub(super) struct Api {
    pub app: Arc<App>,
    pub schemas: Arc<Schemas>,
}

impl Deref for Api {
    type Target = App;

    fn deref(&self) -> &App {
        &self.app
    }
}

/// The API of `app`: all of it, with identity, request ids, error bodies, log and metrics.
pub fn router(app: Arc<App>) -> Router {
    let schemas = Arc::new(Schemas::new(&app.config.images));
    let api = Api { app, schemas };
    let routes = v2().route_layer(middleware::from_fn(gate::label)).fallback(gate::no_route).with_state(api.clone());
    // Paths are put into their one form before a route is looked for, so the gate stands around the router.
    let gated = tower::Layer::layer(&middleware::from_fn_with_state(api, gate::pass), routes);
    Router::new().fallback_service(tower::service_fn(move |request| {
        let gated = gated.clone();
        async move { Ok::<_, std::convert::Infallible>(tower::ServiceExt::oneshot(gated, request).await.into_response()) }
    }))
}

fn v2() -> Router<Api> {
    Router::new()
        .route("/v2", get(gate::to_slash))
        .route("/v2/images", get(images::list).post(images::create))
        .route("/v2/images/{id}", get(images::show).patch(images::update).delete(images::delete))
        .route("/v2/images/{id}/file", get(image_data::download).put(image_data::upload))
        .route("/v2/images/{id}/stage", put(images::stage))
        .route("/v2/images/{id}/import", post(images::import))
        .route("/v2/images/{id}/tasks", get(images::tasks))
        .route("/v2/images/{id}/actions/deactivate", post(images::deactivate))
        .route("/v2/images/{id}/actions/reactivate", post(images::reactivate))
        .route("/v2/images/{id}/locations", get(locations::list).post(locations::add))
        .route("/v2/images/{id}/tags/{tag}", put(tags::add).delete(tags::remove))
        .route("/v2/images/{id}/members", get(members::list).post(members::add))
        .route("/v2/images/{id}/members/{m}", get(members::show).put(members::set).delete(members::remove))
        .route("/v2/stores/{store}/{id}", delete(stores::remove_copy))
        .route("/v2/info/import", get(info::import))
        .route("/v2/info/stores", get(info::stores))
        .route("/v2/info/stores/detail", get(info::stores_detail))
        .route("/v2/info/usage", get(info::usage))
        .route("/v2/schemas/image", get(schemas::get::image))
        .route("/v2/schemas/images", get(schemas::get::images))
        .route("/v2/schemas/member", get(schemas::get::member))
        .route("/v2/schemas/members", get(schemas::get::members))
        .route("/v2/schemas/task", get(schemas::get::task))
        .route("/v2/schemas/tasks", get(schemas::get::tasks))
}
