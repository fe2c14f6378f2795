//! Bodies of images and members: the rows of `image` in the words and the shape of the Images API.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use jiff::Timestamp;
use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::{
    app::App,
    image::{Image, Location, Member, View},
};

/// Internal properties that name machines of the operator.
const HIDDEN: [&str; 2] = ["os_glance_stage_host", "os_glance_hash_op_host"];

/// An image as one caller may see it.
#[derive(Debug)]
pub(super) struct ImageBody<'a> {
    image: &'a Image,
    /// Those in stores that the caller may know of.
    copies: Vec<&'a Location>,
    direct_url: Option<&'a str>,
    locations: Option<Vec<LocationBody<'a>>>,
}

impl<'a> ImageBody<'a> {
    /// The image with its copies in the `known` stores.
    pub fn new(app: &App, known: &BTreeSet<String>, view: &'a View) -> Self {
        let image = &view.image;
        let rules = &app.config.images;
        let copies: Vec<_> = image.locations.iter().filter(|l| known.contains(&l.store)).collect();
        let weight = |l: &&&Location| app.stores.get(&l.store).map_or(i32::MIN, |e| e.config().weight);
        // Of equals the first, as for a download.
        let best = copies.iter().rev().max_by_key(weight).map(|l| l.url.as_str());
        let locations = || copies.iter().map(|l| LocationBody::new(l)).collect();
        Self {
            image,
            direct_url: best.filter(|_| view.urls && rules.show_direct_url),
            locations: (view.urls && rules.show_locations).then(locations),
            copies,
        }
    }
}

impl Serialize for ImageBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let image = self.image;
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in &image.properties {
            if !HIDDEN.contains(&name.as_str()) {
                map.serialize_entry(name, value)?;
            }
        }
        map.serialize_entry("id", &image.id)?;
        map.serialize_entry("name", &image.name)?;
        map.serialize_entry("status", image.status.as_str())?;
        map.serialize_entry("visibility", image.visibility.as_str())?;
        map.serialize_entry("owner", &image.owner)?;
        map.serialize_entry("protected", &image.protected)?;
        map.serialize_entry("os_hidden", &image.os_hidden)?;
        map.serialize_entry("disk_format", &image.disk_format)?;
        map.serialize_entry("container_format", &image.container_format)?;
        map.serialize_entry("size", &image.size)?;
        map.serialize_entry("virtual_size", &image.virtual_size)?;
        map.serialize_entry("checksum", &image.checksum)?;
        map.serialize_entry("os_hash_algo", &image.os_hash_algo)?;
        map.serialize_entry("os_hash_value", &image.os_hash_value)?;
        map.serialize_entry("min_disk", &image.min_disk)?;
        map.serialize_entry("min_ram", &image.min_ram)?;
        map.serialize_entry("tags", &image.tags)?;
        map.serialize_entry("created_at", &Seconds(image.created_at))?;
        map.serialize_entry("updated_at", &Seconds(image.updated_at))?;
        map.serialize_entry("self", &Text(format_args!("/v2/images/{}", image.id)))?;
        map.serialize_entry("file", &Text(format_args!("/v2/images/{}/file", image.id)))?;
        map.serialize_entry("schema", "/v2/schemas/image")?;
        if !self.copies.is_empty() {
            map.serialize_entry("stores", &Stores(&self.copies))?;
        }
        if let Some(url) = self.direct_url {
            map.serialize_entry("direct_url", url)?;
        }
        if let Some(locations) = &self.locations {
            map.serialize_entry("locations", locations)?;
        }
        map.end()
    }
}

/// A page of images.
#[derive(Debug, Serialize)]
pub(super) struct ImagesBody<'a> {
    pub images: Vec<ImageBody<'a>>,
    pub first: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    pub schema: &'static str,
}

/// A location, in an image and alone.
#[derive(Debug, Serialize)]
pub(super) struct LocationBody<'a> {
    url: &'a str,
    metadata: BTreeMap<&'static str, &'a str>,
}

impl<'a> LocationBody<'a> {
    pub fn new(location: &'a Location) -> Self {
        Self { url: &location.url, metadata: BTreeMap::from([("store", location.store.as_str())]) }
    }
}

/// A membership.
#[derive(Debug, Serialize)]
pub(super) struct MemberBody<'a> {
    member_id: &'a str,
    image_id: &'a str,
    status: &'static str,
    created_at: Seconds,
    updated_at: Seconds,
    schema: &'static str,
}

impl<'a> MemberBody<'a> {
    pub fn new(image: &'a str, member: &'a Member) -> Self {
        Self {
            member_id: &member.member,
            image_id: image,
            status: member.status.as_str(),
            created_at: Seconds(member.created_at),
            updated_at: Seconds(member.updated_at),
            schema: "/v2/schemas/member",
        }
    }
}

/// All memberships of an image.
#[derive(Debug, Serialize)]
pub(super) struct MembersBody<'a> {
    pub members: Vec<MemberBody<'a>>,
    pub schema: &'static str,
}

/// `YYYY-MM-DDTHH:MM:SSZ`.
#[derive(Debug, Clone, Copy)]
struct Seconds(Timestamp);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0.strftime("%Y-%m-%dT%H:%M:%SZ"))
    }
}

/// Text that is written without being put together first.
struct Text<'a>(fmt::Arguments<'a>);

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// The stores that hold the data, each once, with commas between.
struct Stores<'a>(&'a [&'a Location]);

impl fmt::Display for Stores<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, location) in self.0.iter().enumerate() {
            if self.0.iter().take(at).any(|l| l.store == location.store) {
                continue;
            }
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{}", location.store)?;
        }
        Ok(())
    }
}

impl Serialize for Stores<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{MemberStatus, Status, Visibility};

    fn location(store: &str) -> Location {
        Location { id: "1".into(), store: store.into(), url: format!("file:///{store}/x") }
    }

    fn image() -> Image {
        let at: Timestamp = "2024-01-02T03:04:05.678Z".parse().unwrap();
        Image {
            id: "0b2d0c2e-8b6c-4a9c-8f39-3f3c1f8a9d11".into(),
            name: None,
            status: Status::Queued,
            visibility: Visibility::Shared,
            owner: Some("p".into()),
            protected: false,
            os_hidden: false,
            checksum: None,
            os_hash_algo: None,
            os_hash_value: None,
            size: None,
            virtual_size: None,
            container_format: None,
            disk_format: None,
            min_disk: 0,
            min_ram: 0,
            tags: BTreeSet::new(),
            properties: [("os_glance_stage_host", "h"), ("os_glance_failed_import", ""), ("os_distro", "debian")]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into(),
            members: Vec::new(),
            locations: Vec::new(),
            created_at: at,
            updated_at: at,
            version: 1,
        }
    }

    fn json(image: &Image, direct_url: Option<&str>, show: bool) -> String {
        let locations = show.then(|| image.locations.iter().map(LocationBody::new).collect());
        serde_json::to_string_pretty(&ImageBody {
            image,
            copies: image.locations.iter().collect(),
            direct_url,
            locations,
        })
        .unwrap()
    }

    #[test]
    fn a_queued_image_has_its_22_attributes() {
        insta::assert_snapshot!(json(&image(), None, false), @r#"
        {
          "os_distro": "debian",
          "os_glance_failed_import": "",
          "id": "0b2d0c2e-8b6c-4a9c-8f39-3f3c1f8a9d11",
          "name": null,
          "status": "queued",
          "visibility": "shared",
          "owner": "p",
          "protected": false,
          "os_hidden": false,
          "disk_format": null,
          "container_format": null,
          "size": null,
          "virtual_size": null,
          "checksum": null,
          "os_hash_algo": null,
          "os_hash_value": null,
          "min_disk": 0,
          "min_ram": 0,
          "tags": [],
          "created_at": "2024-01-02T03:04:05Z",
          "updated_at": "2024-01-02T03:04:05Z",
          "self": "/v2/images/0b2d0c2e-8b6c-4a9c-8f39-3f3c1f8a9d11",
          "file": "/v2/images/0b2d0c2e-8b6c-4a9c-8f39-3f3c1f8a9d11/file",
          "schema": "/v2/schemas/image"
        }
        "#);
    }

    #[test]
    fn locations_show_as_configured() {
        let image = Image { locations: vec![location("a"), location("b"), location("a")], ..image() };
        let body: serde_json::Value = serde_json::from_str(&json(&image, Some("file:///a/x"), true)).unwrap();
        assert_eq!(body["stores"], "a,b");
        assert_eq!(body["direct_url"], "file:///a/x");
        assert_eq!(body["locations"][1], serde_json::json!({"url": "file:///b/x", "metadata": {"store": "b"}}));
    }

    #[test]
    fn a_member_has_its_six_keys() {
        let at = "2024-01-02T03:04:05.678Z".parse().unwrap();
        let member = Member { member: "m".into(), status: MemberStatus::Pending, created_at: at, updated_at: at };
        insta::assert_snapshot!(serde_json::to_string(&MemberBody::new("i", &member)).unwrap(), @r#"{"member_id":"m","image_id":"i","status":"pending","created_at":"2024-01-02T03:04:05Z","updated_at":"2024-01-02T03:04:05Z","schema":"/v2/schemas/member"}"#);
    }
}
