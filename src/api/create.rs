//! The body of R-02: from JSON to a [`NewImage`].

use serde_json::Value as Json;

use super::attributes::{self, shown};
use crate::{
    config,
    error::{Error, Result},
    image::{NewImage, change::Value},
};

/// Refused before anything else is looked at.
const REFUSED_FIRST: [&str; 5] = ["direct_url", "self", "file", "schema", "stores"];
/// Set by the service.
const SERVICE_SET: [&str; 8] =
    ["created_at", "updated_at", "status", "checksum", "os_hash_algo", "os_hash_value", "size", "virtual_size"];

/// The image that `body` asks for.
///
/// # Errors
/// `Invalid` for malformed values, `Forbidden` for attributes that are not the client's to write.
pub(super) fn parse(body: &Json, rules: &config::Images) -> Result<NewImage> {
    let body = body.as_object().ok_or_else(|| {
        let text = format!("{} is not of type 'object'", shown(body));
        Error::invalid(format!("Provided object does not match schema 'image': {text}"))
    })?;
    if let Some(name) = REFUSED_FIRST.iter().find(|name| body.contains_key(**name)) {
        return Err(read_only(name));
    }
    let mut new = NewImage::default();
    for (name, json) in body {
        match name.as_str() {
            "id" => new.id = Some(attributes::id(json)?),
            name if SERVICE_SET.contains(&name) => return Err(read_only(name)),
            "locations" => return Err(Error::forbidden("Attribute 'locations' is reserved.")),
            name => {
                attributes::check_reserved(name)?;
                take(&mut new, attributes::parse(name, json, rules)?);
            }
        }
    }
    Ok(new)
}

fn read_only(name: &str) -> Error {
    Error::forbidden(format!("Attribute '{name}' is read-only."))
}

fn take(new: &mut NewImage, value: Value) {
    match value {
        Value::Name(v) => new.name = v,
        Value::Visibility(v) => new.visibility = Some(v),
        Value::Protected(v) => new.protected = v,
        Value::Hidden(v) => new.os_hidden = v,
        Value::Owner(v) => new.owner = v,
        Value::ContainerFormat(v) => new.container_format = v,
        Value::DiskFormat(v) => new.disk_format = v,
        Value::MinDisk(v) => new.min_disk = v,
        Value::MinRam(v) => new.min_ram = v,
        Value::Tags(v) => new.tags = v,
        Value::Property(name, v) => drop(new.properties.insert(name, v)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::{error::Kind, image::Visibility};

    fn outcome(body: &Json) -> std::result::Result<NewImage, (Kind, String)> {
        parse(body, &config::Images::default()).map_err(|e| (e.kind(), e.message().to_owned()))
    }

    #[test]
    fn takes_what_a_client_may_say() {
        let new = outcome(&json!({
            "id": "0B2D0C2E-8b6c-4a9c-8f39-3f3c1f8a9d11", "name": "n \u{1F600}", "visibility": "private",
            "protected": true, "os_hidden": true, "owner": "p", "container_format": "bare", "disk_format": "qcow2",
            "min_disk": 1, "min_ram": 2, "tags": ["a", "a", "b"], "os_distro": "debian",
        }))
        .unwrap();
        assert_eq!(new.id.as_deref(), Some("0B2D0C2E-8b6c-4a9c-8f39-3f3c1f8a9d11"));
        assert_eq!(new.name.as_deref(), Some("n \u{1F600}"));
        assert_eq!(new.visibility, Some(Visibility::Private));
        assert_eq!((new.min_disk, new.min_ram, new.tags.len()), (1, 2, 2));
        assert_eq!(new.properties.get("os_distro").map(String::as_str), Some("debian"));
    }

    #[test]
    fn refuses_by_attribute() {
        use Kind::{Forbidden, Invalid};
        let rows = [
            (json!([]), Invalid),
            (json!({"id": "x"}), Invalid),
            (json!({"name": 1}), Invalid),
            (json!({"name": "x".repeat(256)}), Invalid),
            (json!({"visibility": "secret"}), Invalid),
            (json!({"visibility": null}), Invalid),
            (json!({"protected": "true"}), Invalid),
            (json!({"disk_format": "vfd"}), Invalid),
            (json!({"min_ram": -1}), Invalid),
            (json!({"min_ram": 2_147_483_648_u64}), Invalid),
            (json!({"min_ram": 1.5}), Invalid),
            (json!({"min_ram": true}), Invalid),
            (json!({"tags": "a"}), Invalid),
            (json!({"tags": [1]}), Invalid),
            (json!({"tags": ["x".repeat(256)]}), Invalid),
            (json!({"prop": null}), Invalid),
            (json!({"prop": 1}), Invalid),
            (json!({"prop": "a\u{0}b"}), Invalid),
            (json!({"": "x"}), Invalid),
            (json!({"x".repeat(256): "x"}), Invalid),
            (json!({"kernel_id": "no uuid"}), Invalid),
            (json!({"self": "x"}), Forbidden),
            (json!({"stores": "x"}), Forbidden),
            (json!({"status": "active"}), Forbidden),
            (json!({"size": 1}), Forbidden),
            (json!({"location": "file:///etc/passwd"}), Forbidden),
            (json!({"locations": []}), Forbidden),
            (json!({"deleted": true}), Forbidden),
            (json!({"os_glance_import_task": "x"}), Forbidden),
        ];
        for (body, kind) in rows {
            assert_eq!(outcome(&body).map_err(|(k, _)| k).unwrap_err(), kind, "{body}");
        }
    }

    #[test]
    fn texts_are_those_that_people_know() {
        let text = |body| outcome(&body).unwrap_err().1;
        insta::assert_snapshot!(text(json!({"min_disk": "1"})), @"Provided object does not match schema 'image': '1' is not of type 'integer'");
        insta::assert_snapshot!(text(json!({"visibility": "x"})), @"Provided object does not match schema 'image': 'x' is not one of ['community', 'public', 'private', 'shared']");
        insta::assert_snapshot!(text(json!({"checksum": "x"})), @"Attribute 'checksum' is read-only.");
        insta::assert_snapshot!(text(json!({"os_glance_x": "x"})), @"Attribute 'os_glance_x' is reserved.");
    }

    #[test]
    fn beyond_the_basic_plane_is_a_switch() {
        let rules = config::Images { strict_utf8mb3: true, ..config::Images::default() };
        for body in [json!({"name": "\u{1F600}"}), json!({"p": "\u{1F600}"}), json!({"tags": ["\u{1F600}"]})] {
            assert_eq!(parse(&body, &rules).unwrap_err().kind(), Kind::Invalid);
        }
    }

    proptest! {
        #[test]
        fn any_value_is_taken_or_refused(name in "[a-z_]{0,12}|name|tags|min_ram|visibility", text in "\\PC{0,20}", n in any::<i64>()) {
            for value in [json!(text), json!(n), json!([text]), json!({"k": n}), json!(null), json!(false)] {
                let body = json!({name.clone(): value});
                if let Err((kind, _)) = outcome(&body) {
                    prop_assert!(matches!(kind, Kind::Invalid | Kind::Forbidden));
                }
            }
        }
    }
}
