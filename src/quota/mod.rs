//! Quota: which limits apply, and the checks that need no database. Counting and admission are in `db`.

use crate::{
    config,
    error::{Error, Result},
    image::Image,
};

/// Limits of one project; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Bytes of all images, each copy counted.
    pub size_total: Option<u64>,
    /// Images.
    pub count_total: Option<u64>,
    /// Uploads at a time.
    pub count_uploading: Option<u64>,
}

/// The limits of a project. An image of nobody is charged to nobody, and so has none.
pub fn limits(cfg: &config::Quota, project: Option<&str>) -> Limits {
    let Some(project) = project else { return Limits::default() };
    let own = cfg.project.get(project).cloned().unwrap_or_default();
    Limits {
        size_total: own.image_size_total.or(cfg.image_size_total),
        count_total: own.image_count_total.or(cfg.image_count_total),
        count_uploading: own.image_count_uploading.or(cfg.image_count_uploading),
    }
}

/// Checks a new image.
///
/// # Errors
/// `TooLarge` when it has too many properties or tags.
pub fn check_new(cfg: &config::Quota, image: &Image) -> Result<()> {
    let count = properties(image);
    within("image properties", (count, count), cfg.image_property_quota)?;
    tags(cfg, image)
}

/// Checks a changed image: only growth is refused, so an image that has been over a lowered limit stays
/// changeable. The limit is on all of `new`; the text tells the number of what is `shown` of it to the caller.
///
/// # Errors
/// `TooLarge` when it gained properties or tags and now has too many.
pub fn check_change(cfg: &config::Quota, old: &Image, new: &Image, shown: &Image) -> Result<()> {
    let gained = |name: &String| !internal(name) && !old.properties.contains_key(name);
    if new.properties.keys().any(gained) {
        within("image properties", (properties(new), properties(shown)), cfg.image_property_quota)?;
    }
    if new.tags.difference(&old.tags).next().is_some() {
        tags(cfg, new)?;
    }
    Ok(())
}

/// Checks that one more location may be added.
///
/// # Errors
/// `TooLarge` when the image has as many as it may.
pub fn check_location(cfg: &config::Quota, image: &Image) -> Result<()> {
    let count = image.locations.len() + 1;
    within("image locations", (count, count), cfg.image_location_quota)
}

/// Checks the size of one image.
///
/// # Errors
/// `TooLarge` beyond the cap.
pub fn check_size(cfg: &config::Quota, bytes: u64) -> Result<()> {
    match cfg.image_size_cap {
        Some(cap) if bytes > cap => {
            Err(Error::too_large(format!("Image exceeds the storage quota: the cap is {cap} bytes for one image")))
        }
        _ => Ok(()),
    }
}

fn internal(property: &str) -> bool {
    property.starts_with("os_glance")
}

fn properties(image: &Image) -> usize {
    image.properties.keys().filter(|name| !internal(name)).count()
}

fn tags(cfg: &config::Quota, image: &Image) -> Result<()> {
    within("image tags", (image.tags.len(), image.tags.len()), cfg.image_tag_quota)
}

/// Refuses more than the maximum; the text tells the number that the caller knows of.
fn within(what: &str, (attempted, told): (usize, usize), maximum: Option<u32>) -> Result<()> {
    match maximum {
        Some(maximum) if u64::try_from(attempted).map_or(true, |n| n > u64::from(maximum)) => {
            Err(Error::too_large(format!(
                "The limit has been exceeded on the number of allowed {what}. Attempted: {told}, Maximum: {maximum}"
            )))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
