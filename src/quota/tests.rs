//! Limits of a project, and the checks on one image.

use super::*;
use crate::{
    error::Kind,
    image::{Location, Status, Visibility},
};

fn image(properties: &[&str], tags: &[&str]) -> Image {
    Image {
        id: "i".into(),
        name: None,
        status: Status::Queued,
        visibility: Visibility::Shared,
        owner: None,
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
        tags: tags.iter().map(|t| (*t).to_owned()).collect(),
        properties: properties.iter().map(|p| ((*p).to_owned(), String::new())).collect(),
        members: vec![],
        locations: vec![],
        created_at: jiff::Timestamp::UNIX_EPOCH,
        updated_at: jiff::Timestamp::UNIX_EPOCH,
        version: 1,
    }
}

#[test]
fn a_projects_own_limits_go_first() {
    let mut cfg = config::Quota { image_size_total: Some(10), ..config::Quota::default() };
    let own = config::ProjectQuota { image_size_total: Some(5), ..config::ProjectQuota::default() };
    cfg.project.insert("p".into(), own);
    assert_eq!(limits(&cfg, Some("p")).size_total, Some(5));
    assert_eq!(limits(&cfg, Some("p")).count_total, cfg.image_count_total);
    assert_eq!(limits(&cfg, Some("q")).size_total, Some(10));
    assert_eq!(limits(&cfg, None), Limits::default());
}

#[test]
fn counts_are_bounded_and_internal_properties_do_not_count() {
    let cfg = config::Quota { image_property_quota: Some(1), image_tag_quota: Some(1), ..config::Quota::default() };
    assert!(check_new(&cfg, &image(&["a", "os_glance_import_task"], &["t"])).is_ok());
    let over = check_new(&cfg, &image(&["a", "b"], &[])).expect_err("two properties");
    assert_eq!(over.kind(), Kind::TooLarge);
    assert!(over.message().ends_with("Attempted: 2, Maximum: 1"), "{}", over.message());
    assert_eq!(check_new(&cfg, &image(&[], &["t", "u"])).expect_err("two tags").kind(), Kind::TooLarge);
}

#[test]
fn only_growth_is_refused() {
    let cfg = config::Quota { image_property_quota: Some(1), image_tag_quota: Some(1), ..config::Quota::default() };
    let old = image(&["a", "b", "c"], &["t", "u", "v"]);
    let change = |new: &Image| check_change(&cfg, &old, new, new);
    assert!(change(&image(&["a", "b"], &["t", "u"])).is_ok());
    assert!(change(&image(&["a", "d"], &[])).is_err());
    assert!(change(&image(&[], &["t", "w"])).is_err());
}

#[test]
fn the_text_does_not_count_what_the_caller_does_not_see() {
    let cfg = config::Quota { image_property_quota: Some(2), ..config::Quota::default() };
    let new = image(&["a", "hidden", "hidden too"], &[]);
    let over = check_change(&cfg, &image(&["hidden", "hidden too"], &[]), &new, &image(&["a"], &[])).unwrap_err();
    assert_eq!(over.kind(), Kind::TooLarge);
    assert!(over.message().ends_with("Attempted: 1, Maximum: 2"), "{}", over.message());
}

#[test]
fn locations_and_size_are_capped() {
    let cfg = config::Quota { image_location_quota: Some(1), image_size_cap: Some(9), ..config::Quota::default() };
    let mut one = image(&[], &[]);
    assert!(check_location(&cfg, &one).is_ok());
    one.locations.push(Location { id: "l".into(), store: "s".into(), url: "u".into() });
    assert!(check_location(&cfg, &one).is_err());
    assert!(check_size(&cfg, 9).is_ok());
    assert!(check_size(&cfg, 10).is_err());
    let open = config::Quota { image_size_cap: None, ..cfg };
    assert!(check_size(&open, u64::MAX).is_ok());
}
