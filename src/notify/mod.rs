//! Events: written to the outbox in the transaction of the change, sent after commit.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::image::{Image, Member, Visibility};

mod sender;

pub use sender::Sender;

/// One event, in the words of Glance's notifications.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// `image.create` …
    pub event_type: &'static str,
    /// `INFO` or `ERROR`.
    pub priority: &'static str,
    /// Key set of Glance's payload for this type. Never a location.
    pub payload: Value,
}

/// Who received the data of an image, for [`image_send`].
#[derive(Debug, Clone, Copy)]
pub struct Receiver<'a> {
    /// Project.
    pub project: Option<&'a str>,
    /// User.
    pub user: &'a str,
}

/// `image.create`, `image.update` or `image.activate` (N-01).
pub fn image_event(event_type: &'static str, image: &Image) -> Event {
    Event { event_type, priority: "INFO", payload: Value::Object(image_payload(image, None)) }
}

/// `image.delete` (N-01): tells that it is gone and when.
pub fn image_deleted(image: &Image) -> Event {
    let payload = image_payload(image, Some(Timestamp::now()));
    Event { event_type: "image.delete", priority: "INFO", payload: Value::Object(payload) }
}

/// `image.prepare` (N-02): data is about to go into a store.
pub fn image_prepare(image: &Image, store: &str) -> Event {
    let mut payload = import_payload(image);
    payload.insert("backend".into(), store.into());
    Event { event_type: "image.prepare", priority: "INFO", payload: Value::Object(payload) }
}

/// `image.upload` (N-03): the data is in.
pub fn image_uploaded(image: &Image) -> Event {
    Event { event_type: "image.upload", priority: "INFO", payload: Value::Object(import_payload(image)) }
}

/// `image.upload` with priority `ERROR` (N-03): the text is the payload.
pub fn image_upload_failed(text: impl Into<String>) -> Event {
    Event { event_type: "image.upload", priority: "ERROR", payload: Value::String(text.into()) }
}

/// `image.send` (N-04): `ERROR` when another number of bytes left than the image has.
pub fn image_send(image: &Image, bytes_sent: u64, expected: u64, receiver: Receiver<'_>) -> Event {
    let payload = json!({
        "bytes_sent": bytes_sent,
        "image_id": image.id,
        "owner_id": image.owner,
        "receiver_tenant_id": receiver.project,
        "receiver_user_id": receiver.user,
    });
    Event { event_type: "image.send", priority: if bytes_sent == expected { "INFO" } else { "ERROR" }, payload }
}

/// `image.member.create` or `image.member.update` (N-05).
pub fn member_event(event_type: &'static str, image: &Image, member: &Member) -> Event {
    Event { event_type, priority: "INFO", payload: member_payload(image, member, None) }
}

/// `image.member.delete` (N-05).
pub fn member_deleted(image: &Image, member: &Member) -> Event {
    let payload = member_payload(image, member, Some(Timestamp::now()));
    Event { event_type: "image.member.delete", priority: "INFO", payload }
}

impl Event {
    /// The event with what only the committed row knows: events are made before the change they tell of, so state,
    /// sizes and times come from `image`. Events that are not about this image stay as they are.
    #[must_use]
    pub fn settled(&self, image: &Image) -> Self {
        let mut event = self.clone();
        let Value::Object(payload) = &mut event.payload else { return event };
        if payload.get("id").and_then(Value::as_str) != Some(&image.id) {
            return event;
        }
        for (key, value) in image_payload(image, None) {
            // The properties were chosen by whoever made the event.
            if key != "properties" && payload.contains_key(&key) {
                payload.insert(key, value);
            }
        }
        event
    }
}

fn image_payload(image: &Image, deleted_at: Option<Timestamp>) -> Map<String, Value> {
    let payload = json!({
        "id": image.id,
        "name": image.name,
        "status": image.status.as_str(),
        "created_at": seconds(image.created_at),
        "updated_at": seconds(image.updated_at),
        "min_disk": image.min_disk,
        "min_ram": image.min_ram,
        "protected": image.protected,
        "checksum": image.checksum,
        "owner": image.owner,
        "disk_format": image.disk_format,
        "container_format": image.container_format,
        "size": image.size,
        "virtual_size": image.virtual_size,
        "is_public": image.visibility == Visibility::Public,
        "visibility": image.visibility.as_str(),
        "properties": image.properties,
        "tags": image.tags,
        "deleted": deleted_at.is_some(),
        "deleted_at": deleted_at.map(seconds),
    });
    match payload {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn import_payload(image: &Image) -> Map<String, Value> {
    let mut payload = image_payload(image, None);
    for key in ["os_glance_importing_to_stores", "os_glance_failed_import"] {
        let stores = image.properties.get(key).map(String::as_str).unwrap_or_default();
        let stores: Vec<&str> = stores.split(',').filter(|s| !s.is_empty()).collect();
        payload.insert(key.into(), stores.into());
    }
    payload
}

fn member_payload(image: &Image, member: &Member, deleted_at: Option<Timestamp>) -> Value {
    json!({
        "image_id": image.id,
        "member_id": member.member,
        "status": member.status.as_str(),
        "created_at": seconds(member.created_at),
        "updated_at": seconds(member.updated_at),
        "deleted": deleted_at.is_some(),
        "deleted_at": deleted_at.map(seconds),
    })
}

/// A time as the API shows it.
fn seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests;
