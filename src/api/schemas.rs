//! The published JSON schemas. Clients build their models from them, so they are made once, at start.

use axum::{
    body::Body,
    extract::State,
    http::{HeaderValue, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{attributes::UUID_PATTERN, error::Answer, extract::NoBody, router::Api};
use crate::config;

/// The six documents, as bytes.
#[derive(Debug)]
pub(super) struct Schemas {
    image: Bytes,
    images: Bytes,
    member: Bytes,
    members: Bytes,
    task: Bytes,
    tasks: Bytes,
}

impl Schemas {
    pub fn new(rules: &config::Images) -> Self {
        let (image, member, task) = (image(rules), member(), task());
        let bytes = |schema: &Value| Bytes::from(schema.to_string());
        Self {
            images: bytes(&collection("images", &image, true)),
            members: bytes(&collection("members", &member, false)),
            tasks: bytes(&collection("tasks", &task, false)),
            image: bytes(&image),
            member: bytes(&member),
            task: bytes(&task),
        }
    }
}

macro_rules! handlers {
    ($($name:ident)*) => {$(
        pub(in crate::api) async fn $name(State(api): State<Api>, _: NoBody) -> Answer {
            Ok(document(&api.schemas.$name))
        }
    )*};
}

/// Handlers, one per document.
pub(super) mod get {
    use super::*;

    handlers! { image images member members task tasks }
}

fn document(body: &Bytes) -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], Body::from(body.clone())).into_response()
}

/// The schema of a list of `item`s; lists with pages have the links of pages.
fn collection(name: &str, item: &Value, paged: bool) -> Value {
    let text = json!({"type": "string"});
    let mut properties = Map::new();
    properties.insert(name.into(), json!({"type": "array", "items": item}));
    let mut links = Vec::new();
    if paged {
        properties.insert("first".into(), text.clone());
        properties.insert("next".into(), text.clone());
        links.push(json!({"rel": "first", "href": "{first}"}));
        links.push(json!({"rel": "next", "href": "{next}"}));
    }
    properties.insert("schema".into(), text);
    links.push(json!({"rel": "describedby", "href": "{schema}"}));
    json!({"name": name, "properties": properties, "links": links})
}

fn image(rules: &config::Images) -> Value {
    json!({
        "name": "image",
        "properties": image_properties(rules),
        "additionalProperties": {"type": "string"},
        "links": [
            {"rel": "self", "href": "{self}"},
            {"rel": "enclosure", "href": "{file}"},
            {"rel": "describedby", "href": "{schema}"},
        ],
    })
}

fn image_properties(rules: &config::Images) -> Map<String, Value> {
    let mut all = Map::new();
    for group in [settable(rules), service_set(), well_known()] {
        if let Value::Object(group) = group {
            all.extend(group);
        }
    }
    all
}

/// A list of words that may also be null.
fn nullable(words: &[String]) -> Vec<Value> {
    std::iter::once(Value::Null).chain(words.iter().map(|w| json!(w))).collect()
}

fn settable(rules: &config::Images) -> Value {
    json!({
        "id": {"type": "string", "description": "The id of the image", "pattern": UUID_PATTERN},
        "name": {"type": ["null", "string"], "description": "A name for people", "maxLength": 255},
        "visibility": {"type": "string", "description": "Who finds the image", "enum": ["community", "public", "private", "shared"]},
        "protected": {"type": "boolean", "description": "Whether the image refuses to be deleted"},
        "os_hidden": {"type": "boolean", "description": "Whether default lists leave the image out"},
        "owner": {"type": ["null", "string"], "description": "The project that owns the image", "maxLength": 255},
        "container_format": {"type": ["null", "string"], "description": "Format of the container", "enum": nullable(&rules.container_formats)},
        "disk_format": {"type": ["null", "string"], "description": "Format of the disk", "enum": nullable(&rules.disk_formats)},
        "tags": {"type": "array", "description": "Words attached to the image", "items": {"type": "string", "maxLength": 255}},
        "min_ram": {"type": "integer", "description": "Memory in MB that a guest needs"},
        "min_disk": {"type": "integer", "description": "Disk in GB that a guest needs"},
        "locations": {"type": "array", "description": "Where the data lies", "items": location()},
    })
}

fn location() -> Value {
    json!({
        "type": "object",
        "properties": {
            "url": {"type": "string", "maxLength": 255},
            "metadata": {"type": "object"},
            "validation_data": {
                "description": "Hashes that the data must have",
                "type": "object",
                "writeOnly": true,
                "additionalProperties": false,
                "properties": {
                    "checksum": {"type": "string", "minLength": 32, "maxLength": 32},
                    "os_hash_algo": {"type": "string", "maxLength": 64},
                    "os_hash_value": {"type": "string", "maxLength": 128},
                },
                "required": ["os_hash_algo", "os_hash_value"],
            },
        },
        "required": ["url", "metadata"],
    })
}

fn service_set() -> Value {
    json!({
        "status": {"type": "string", "readOnly": true, "description": "Where the image is in its life", "enum": [
            "queued", "saving", "active", "killed", "deleted", "uploading", "importing", "pending_delete", "deactivated",
        ]},
        "checksum": {"type": ["null", "string"], "readOnly": true, "description": "md5 of the data, hex", "maxLength": 32},
        "os_hash_algo": {"type": ["null", "string"], "readOnly": true, "description": "Algorithm of os_hash_value", "maxLength": 64},
        "os_hash_value": {"type": ["null", "string"], "readOnly": true, "description": "Hash of the data, hex", "maxLength": 128},
        "size": {"type": ["null", "integer"], "readOnly": true, "description": "Bytes of the data"},
        "virtual_size": {"type": ["null", "integer"], "readOnly": true, "description": "Bytes that a guest sees"},
        "created_at": {"type": "string", "readOnly": true, "description": "When the image was registered"},
        "updated_at": {"type": "string", "readOnly": true, "description": "When the image last changed"},
        "direct_url": {"type": "string", "readOnly": true, "description": "Where the data lies"},
        "self": {"type": "string", "readOnly": true, "description": "URL of the image"},
        "file": {"type": "string", "readOnly": true, "description": "URL of the data"},
        "schema": {"type": "string", "readOnly": true, "description": "URL of this schema"},
        "stores": {"type": "string", "readOnly": true, "description": "Ids of the stores that hold the data, separated by commas"},
    })
}

/// Properties that are custom to us but have a meaning that clients agree on.
fn well_known() -> Value {
    let text = |description: &str| json!({"type": "string", "description": description, "is_base": false});
    let id = |description: &str| json!({"type": ["null", "string"], "pattern": UUID_PATTERN, "description": description, "is_base": false});
    json!({
        "kernel_id": id("Image that is the kernel of an AMI-style image"),
        "ramdisk_id": id("Image that is the ramdisk of an AMI-style image"),
        "instance_uuid": text("Instance that the image was made from; for information only"),
        "architecture": text("Architecture of the operating system"),
        "os_distro": text("Common name of the operating system's distribution"),
        "os_version": text("Version of the operating system as its distributor calls it"),
        "description": text("A description for people"),
        "cinder_encryption_key_id": text("Key that a volume made from this image is encrypted with"),
        "cinder_encryption_key_deletion_policy": text("When the key of cinder_encryption_key_id is deleted"),
    })
}

fn member() -> Value {
    json!({"name": "member", "properties": {
        "member_id": {"type": "string", "description": "The project that the image is shared with"},
        "image_id": {"type": "string", "description": "The id of the image", "pattern": UUID_PATTERN},
        "created_at": {"type": "string", "description": "When the membership began"},
        "updated_at": {"type": "string", "description": "When the membership last changed"},
        "status": {"type": "string", "description": "What the project said to it", "enum": ["pending", "accepted", "rejected"]},
        "schema": {"readOnly": true, "type": "string"},
    }})
}

fn task() -> Value {
    let text = |description: &str| json!({"type": "string", "description": description});
    json!({"name": "task", "properties": {
        "id": {"type": "string", "description": "The id of the task", "pattern": UUID_PATTERN},
        "type": {"type": "string", "description": "What the task does", "enum": ["import", "api_image_import", "location_import"]},
        "status": {"type": "string", "description": "How far the task is", "enum": ["pending", "processing", "success", "failure"]},
        "input": {"type": ["null", "object"], "description": "What the task was given"},
        "result": {"type": ["null", "object"], "description": "What the task found"},
        "owner": text("The project that owns the task"),
        "message": text("For people, mostly of a failure"),
        "image_id": text("The image that the task is about"),
        "request_id": text("The request that began the task"),
        "user_id": text("The user who began the task"),
        "expires_at": {"type": ["null", "string"], "description": "When the task may be removed"},
        "created_at": text("When the task was made"),
        "updated_at": text("When the task last changed"),
        "self": {"readOnly": true, "type": "string"},
        "schema": {"readOnly": true, "type": "string"},
    }})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_schema_is_what_clients_build_on() {
        let rules = config::Images { disk_formats: vec!["raw".into()], ..config::Images::default() };
        let schema = image(&rules);
        let properties = schema["properties"].as_object().unwrap();
        let base: Vec<_> = properties.iter().filter(|(_, p)| p.get("is_base").is_none()).collect();
        assert_eq!((base.len(), properties.len()), (25, 34));
        let read_only: Vec<_> = base.iter().filter(|(_, p)| p["readOnly"] == true).map(|(n, _)| n.as_str()).collect();
        insta::assert_snapshot!(read_only.join(" "), @"status checksum os_hash_algo os_hash_value size virtual_size created_at updated_at direct_url self file schema stores");
        assert_eq!(schema["properties"]["disk_format"]["enum"], json!([null, "raw"]));
        assert_eq!(schema["additionalProperties"], json!({"type": "string"}));
        assert_eq!(schema["links"].as_array().unwrap().len(), 3);
    }

    #[test]
    fn lists_link_to_their_pages() {
        let images = collection("images", &image(&config::Images::default()), true);
        assert_eq!(images["links"].as_array().unwrap().len(), 3);
        assert_eq!(images["properties"]["images"]["items"]["name"], "image");
        let members = collection("members", &member(), false);
        assert_eq!(members["links"], json!([{"rel": "describedby", "href": "{schema}"}]));
        assert_eq!(task()["properties"].as_object().unwrap().len(), 15);
    }
}
