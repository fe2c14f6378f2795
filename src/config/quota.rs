//! `[quota]`: limits per image and per project.

use std::collections::BTreeMap;

use super::section::Section;

/// `[quota]`; `None` is no limit, written as -1.
#[derive(Debug, Clone)]
pub struct Quota {
    /// Custom properties of one image.
    pub image_property_quota: Option<u32>,
    /// Tags of one image.
    pub image_tag_quota: Option<u32>,
    /// Members of one image.
    pub image_member_quota: Option<u32>,
    /// Locations of one image.
    pub image_location_quota: Option<u32>,
    /// Bytes of one image.
    pub image_size_cap: Option<u64>,
    /// Bytes of all images of one project (`image_size_total`).
    pub image_size_total: Option<u64>,
    /// Images of one project.
    pub image_count_total: Option<u64>,
    /// Uploads of one project at a time.
    pub image_count_uploading: Option<u64>,
    /// Limits of single projects, in place of the three above.
    pub project: BTreeMap<String, ProjectQuota>,
}

/// `[quota.project.ID]`; what is not set follows `[quota]`.
#[derive(Debug, Clone, Default)]
pub struct ProjectQuota {
    /// Bytes of all images.
    pub image_size_total: Option<u64>,
    /// Images.
    pub image_count_total: Option<u64>,
    /// Uploads at a time.
    pub image_count_uploading: Option<u64>,
}

impl Default for Quota {
    fn default() -> Self {
        Self {
            image_property_quota: Some(128),
            image_tag_quota: Some(128),
            image_member_quota: Some(128),
            image_location_quota: Some(10),
            image_size_cap: Some(1 << 40),
            image_size_total: None,
            image_count_total: Some(10_000),
            image_count_uploading: None,
            project: BTreeMap::new(),
        }
    }
}

impl Quota {
    pub(super) fn read(section: Section<'_>) -> Self {
        let d = Self::default();
        let projects = section.section("project");
        let quota = Self {
            image_property_quota: section.limit("image_property_quota", d.image_property_quota),
            image_tag_quota: section.limit("image_tag_quota", d.image_tag_quota),
            image_member_quota: section.limit("image_member_quota", d.image_member_quota),
            image_location_quota: section.limit("image_location_quota", d.image_location_quota),
            image_size_cap: section.limit("image_size_cap", d.image_size_cap),
            image_size_total: section.limit("image_size_total", d.image_size_total),
            image_count_total: section.limit("image_count_total", d.image_count_total),
            image_count_uploading: section.limit("image_count_uploading", d.image_count_uploading),
            project: projects.children().into_iter().map(|(id, child)| (id, ProjectQuota::read(child))).collect(),
        };
        section.finish();
        quota
    }
}

/// No limit for one project where others have one: more than any disk holds, so that it needs no third state.
const UNLIMITED: u64 = i64::MAX as u64;

impl ProjectQuota {
    fn read(section: Section<'_>) -> Self {
        // Absent follows `[quota]`; -1 lifts the limit of `[quota]`.
        let limit = |key: &str| section.has(key).then(|| section.limit(key, None).unwrap_or(UNLIMITED));
        let quota = Self {
            image_size_total: limit("image_size_total"),
            image_count_total: limit("image_count_total"),
            image_count_uploading: limit("image_count_uploading"),
        };
        section.finish();
        quota
    }
}
