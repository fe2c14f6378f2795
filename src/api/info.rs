//! What the site offers: import methods, stores and the usage of the caller's project.

use std::{collections::BTreeSet, sync::Arc};

use axum::{extract::State, http::StatusCode};
use serde_json::{Map, Value as Json, json};

use super::{
    error::Answer,
    extract::{Asked, NoBody},
    images::json_response,
    router::Api,
};
use crate::{
    authz::{self, Action, Resource},
    config::{Backend, Store, StoreState},
    image, quota,
    store::{Entry, Stores},
};

/// Bytes that Glance's clients count a quota of bytes in.
const MIB: u64 = 1 << 20;
/// What a file store of Glance says of its reads, which clients show and nothing more.
const FILE_CHUNK: u32 = 65_536;

pub(super) async fn import(_: NoBody) -> Answer {
    let methods: [&str; 0] = [];
    let body =
        json!({"import-methods": {"description": "Import methods available.", "type": "array", "value": methods}});
    json_response(StatusCode::OK, &body)
}

pub(super) async fn stores(State(api): State<Api>, Asked(ctx): Asked, _: NoBody) -> Answer {
    let known = image::known_stores(&api.app, &ctx)?;
    let stores: Vec<_> =
        configured(&api.app.stores, &known).map(|(id, store)| Json::from(brief(&id, &store))).collect();
    json_response(StatusCode::OK, &json!({"stores": stores}))
}

pub(super) async fn stores_detail(State(api): State<Api>, Asked(ctx): Asked, _: NoBody) -> Answer {
    authz::check(&ctx, Action::StoresInfoDetail, Resource::Service)?;
    let known = image::known_stores(&api.app, &ctx)?;
    let stores: Vec<_> = configured(&api.app.stores, &known)
        .map(|(id, store)| {
            let identity = api.app.stores.get(&id).and_then(|entry| entry.store().identity());
            detailed(&id, &store, identity.as_deref())
        })
        .collect();
    json_response(StatusCode::OK, &json!({"stores": stores}))
}

pub(super) async fn usage(State(api): State<Api>, Asked(ctx): Asked) -> Answer {
    let mut all = Map::new();
    if let Some(project) = ctx.project() {
        let used = api.app.db.usage(project).await?;
        let limits = quota::limits(&api.config.quota, Some(project));
        let in_use = |resource: &str| used.get(resource).map_or(0, |u| u.in_use);
        let resources = [
            ("image_size_total", in_use("image_size_total") / MIB, limits.size_total.map(|l| l / MIB)),
            ("image_count_total", in_use("image_count_total"), limits.count_total),
            ("image_count_uploading", in_use("image_count_uploading"), limits.count_uploading),
            ("image_stage_total", in_use("image_stage_total") / MIB, None),
        ];
        for (name, usage, limit) in resources {
            let limit = limit.map_or_else(|| json!(-1), |l| json!(l));
            all.insert(name.into(), json!({"usage": usage, "limit": limit}));
        }
    }
    json_response(StatusCode::OK, &json!({"usage": all}))
}

/// The stores that the caller may know of, as they are now.
fn configured(stores: &Stores, known: &BTreeSet<String>) -> impl Iterator<Item = (String, Store)> {
    let now = |e: Arc<Entry>| (e.id().to_owned(), Store { state: e.state(), ..e.config().clone() });
    stores.iter().filter(|e| known.contains(e.id())).map(now)
}

/// What everybody who knows of a store may know of it. Truth is a string here, and untruth is absence.
fn brief(id: &str, store: &Store) -> Map<String, Json> {
    let mut entry = Map::new();
    entry.insert("id".into(), id.into());
    if let Some(text) = &store.description {
        entry.insert("description".into(), text.as_str().into());
    }
    if store.default {
        entry.insert("default".into(), "true".into());
    }
    if store.state == StoreState::ReadOnly {
        entry.insert("read-only".into(), "true".into());
    }
    entry
}

fn detailed(id: &str, store: &Store, identity: Option<&str>) -> Json {
    let mut entry = brief(id, store);
    let (kind, properties) = match &store.backend {
        Backend::File { path } => {
            ("file", json!({"data_dir": path, "chunk_size": FILE_CHUNK, "thin_provisioning": true}))
        }
        Backend::Rbd(rbd) => (
            "rbd",
            json!({
                "chunk_size": u64::from(rbd.chunk_size_mib) << 20,
                "fsid": identity.and_then(|cluster| cluster.split('/').next()),
                "pool": rbd.pool,
                "thin_provisioning": rbd.thin_provisioning,
            }),
        ),
    };
    entry.insert("type".into(), kind.into());
    entry.insert("weight".into(), store.weight.into());
    entry.insert("properties".into(), properties);
    Json::from(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truth_is_a_string() {
        let store = Store {
            description: Some("fast".into()),
            weight: 5,
            labels: std::collections::BTreeMap::new(),
            default: true,
            state: StoreState::ReadOnly,
            backend: Backend::File { path: "/srv/a".into() },
        };
        let plain = Store { description: None, default: false, state: StoreState::Up, ..store.clone() };
        assert_eq!(
            Json::from(brief("a", &store)),
            json!({"id": "a", "description": "fast", "default": "true", "read-only": "true"})
        );
        assert_eq!(Json::from(brief("b", &plain)), json!({"id": "b"}));
    }
}
