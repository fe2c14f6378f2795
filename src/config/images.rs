//! `[images]`: rules of images that are not policy.

use super::section::Section;

/// Hashes that `os_hash_value` may hold.
const HASHES: &[&str] = &["sha512", "sha256", "sha1", "md5"];

/// `[images]`
#[derive(Debug, Clone)]
pub struct Images {
    /// Hash in `os_hash_value`: `sha512`, `sha256`, `sha1` or `md5`.
    pub hashing_algorithm: String,
    /// `disk_format` values that may be created.
    pub disk_formats: Vec<String>,
    /// `container_format` values that may be created.
    pub container_formats: Vec<String>,
    /// Refuse data whose detected format is not the declared one.
    pub require_format_match: bool,
    /// `createType` values of VMDK that are let in.
    pub vmdk_allowed_types: Vec<String>,
    /// Let a GPT/MBR image in that fails the strict checks.
    pub gpt_checks_nonfatal: bool,
    /// `direct_url` in bodies, where policy `get_image_location` permits.
    pub show_direct_url: bool,
    /// `locations` in bodies, where policy permits.
    pub show_locations: bool,
    /// PATCH of `/locations`, the old way to add and remove them.
    pub patch_locations: bool,
    /// Refuse characters beyond the Basic Multilingual Plane, as Glance does.
    pub strict_utf8mb3: bool,
    /// HTML error bodies for `*/*`, as Glance sends.
    pub html_errors: bool,
    /// Images of a page without `limit`.
    pub page_default: u32,
    /// Images of a page at most.
    pub page_max: u32,
    /// Seconds without progress after which an upload is given up.
    pub upload_lease_s: u64,
}

impl Default for Images {
    fn default() -> Self {
        let words = |s: &str| s.split(' ').map(str::to_owned).collect();
        Self {
            hashing_algorithm: "sha512".into(),
            disk_formats: words("ami ari aki vhd vhdx vmdk raw qcow2 vdi iso ploop"),
            container_formats: words("ami ari aki bare ovf ova docker compressed"),
            require_format_match: true,
            vmdk_allowed_types: words("streamOptimized monolithicSparse"),
            gpt_checks_nonfatal: false,
            show_direct_url: false,
            show_locations: false,
            patch_locations: false,
            strict_utf8mb3: false,
            html_errors: false,
            page_default: 25,
            page_max: 1000,
            upload_lease_s: 60,
        }
    }
}

impl Images {
    pub(super) fn read(section: Section<'_>) -> Self {
        let d = Self::default();
        let algorithms: Vec<_> = HASHES.iter().map(|h| (*h, *h)).collect();
        let page_max = section.number("page_max", 1..=100_000, d.page_max);
        // The default page follows a smaller maximum, unless it was chosen too.
        let page_default = section.number("page_default", 1..=100_000, d.page_default.min(page_max));
        if page_default > page_max {
            section.fault(
                "page_default",
                format!("{page_default} is more than `page_max`, {page_max}"),
                "lower it, or raise `page_max`",
            );
        }
        let images = Self {
            hashing_algorithm: section
                .choice("hashing_algorithm", &algorithms)
                .map_or(d.hashing_algorithm, str::to_owned),
            disk_formats: formats(&section, "disk_formats", "qcow2", d.disk_formats),
            container_formats: formats(&section, "container_formats", "bare", d.container_formats),
            require_format_match: section.boolean("require_format_match", d.require_format_match),
            vmdk_allowed_types: section.list("vmdk_allowed_types", "streamOptimized").unwrap_or(d.vmdk_allowed_types),
            gpt_checks_nonfatal: section.boolean("gpt_checks_nonfatal", d.gpt_checks_nonfatal),
            show_direct_url: section.boolean("show_direct_url", d.show_direct_url),
            show_locations: section.boolean("show_locations", d.show_locations),
            patch_locations: section.boolean("patch_locations", d.patch_locations),
            strict_utf8mb3: section.boolean("strict_utf8mb3", d.strict_utf8mb3),
            html_errors: section.boolean("html_errors", d.html_errors),
            page_default,
            page_max,
            upload_lease_s: section.number("upload_lease_s", 5..=3600, d.upload_lease_s),
        };
        section.finish();
        images
    }
}

/// Formats are words in lower case; at least one, or no image could be created.
fn formats(section: &Section<'_>, key: &str, example: &str, default: Vec<String>) -> Vec<String> {
    let Some(formats) = section.list::<String>(key, example) else { return default };
    if formats.is_empty() {
        section.fault(key, "is empty: no image could be created", format!("list formats, for instance `{example}`"));
    }
    for format in &formats {
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
        if format.is_empty() || format.len() > 20 || !format.chars().all(good) {
            section.fault(key, format!("`{format}` is not a format"), "1 to 20 lower-case letters, digits, `-` or `_`");
        }
    }
    formats
}
