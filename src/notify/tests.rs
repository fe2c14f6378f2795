//! The key sets are what consumers of Glance's notifications read.

use super::*;
use crate::image::{Location, MemberStatus, Status};

fn image() -> Image {
    Image {
        id: "11111111-2222-3333-4444-555555555555".into(),
        name: Some("n".into()),
        status: Status::Queued,
        visibility: Visibility::Public,
        owner: Some("p".into()),
        protected: false,
        os_hidden: false,
        checksum: None,
        os_hash_algo: None,
        os_hash_value: None,
        size: None,
        virtual_size: None,
        container_format: Some("bare".into()),
        disk_format: Some("raw".into()),
        min_disk: 1,
        min_ram: 2,
        tags: ["t".to_owned()].into(),
        properties: [("os_glance_importing_to_stores".to_owned(), "a,b".to_owned())].into(),
        members: vec![],
        locations: vec![Location { id: "l".into(), store: "s".into(), url: "file:///secret".into() }],
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
        version: 1,
    }
}

fn keys(payload: &Value) -> Vec<&str> {
    payload.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[test]
fn image_events_have_the_key_set_and_no_location() {
    let event = image_event("image.create", &image());
    assert_eq!(
        keys(&event.payload),
        "id name status created_at updated_at min_disk min_ram protected checksum owner disk_format container_format \
         size virtual_size is_public visibility properties tags deleted deleted_at"
            .split_whitespace()
            .collect::<Vec<_>>()
    );
    assert_eq!(event.payload["created_at"], "1970-01-01T00:00:00Z");
    assert_eq!(event.payload["is_public"], true);
    assert!(!event.payload.to_string().contains("secret"));
    let gone = image_deleted(&image());
    assert_eq!(gone.payload["deleted"], true);
    assert!(gone.payload["deleted_at"].is_string());
}

#[test]
fn upload_events_name_stores() {
    let prepare = image_prepare(&image(), "alpha");
    assert_eq!(prepare.payload["backend"], "alpha");
    assert_eq!(prepare.payload["os_glance_importing_to_stores"], json!(["a", "b"]));
    let done = image_uploaded(&image());
    assert_eq!(done.payload.get("backend"), None);
    assert_eq!(done.payload["os_glance_failed_import"], json!([]));
    assert_eq!(image_upload_failed("no").priority, "ERROR");
}

#[test]
fn a_short_send_is_an_error() {
    let to = Receiver { project: Some("q"), user: "u" };
    assert_eq!(image_send(&image(), 5, 5, to).priority, "INFO");
    let short = image_send(&image(), 4, 5, to);
    assert_eq!(short.priority, "ERROR");
    assert_eq!(keys(&short.payload), ["bytes_sent", "image_id", "owner_id", "receiver_tenant_id", "receiver_user_id"]);
}

#[test]
fn member_events_have_the_key_set() {
    let member = Member {
        member: "q".into(),
        status: MemberStatus::Pending,
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
    };
    let event = member_event("image.member.create", &image(), &member);
    assert_eq!(
        keys(&event.payload),
        ["image_id", "member_id", "status", "created_at", "updated_at", "deleted", "deleted_at"]
    );
    assert_eq!(event.payload["deleted_at"], Value::Null);
    assert_eq!(member_deleted(&image(), &member).payload["deleted"], true);
}

#[test]
fn settling_takes_state_but_not_properties() {
    let before = image();
    let event = image_event("image.activate", &before);
    let after = Image { status: Status::Active, size: Some(7), properties: [].into(), ..before.clone() };
    let settled = event.settled(&after);
    assert_eq!(settled.payload["status"], "active");
    assert_eq!(settled.payload["size"], 7);
    assert_eq!(settled.payload["properties"], event.payload["properties"]);
    let other = Image { id: "another".into(), ..after };
    assert_eq!(event.settled(&other), event);
}
