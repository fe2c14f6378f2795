//! Property protection: which custom properties a caller may see and change. Cedar decides, property by property.

use crate::{
    authz::{self, Action, Resource},
    context::Context,
    error::{Error, Result},
    image::Image,
};

/// The image without the custom properties that the caller may not read.
///
/// # Errors
/// `Unavailable` when a policy errors: nothing is shown then.
pub fn visible(ctx: &Context, mut image: Image) -> Result<Image> {
    let mut readable = readable(ctx, &image)?.into_iter();
    image.properties.retain(|_, _| readable.next().unwrap_or(false));
    Ok(image)
}

/// For each custom property of the image, in the order of their names, whether the caller may read it.
///
/// # Errors
/// `Unavailable` when a policy errors.
pub(crate) fn readable(ctx: &Context, image: &Image) -> Result<Vec<bool>> {
    let names: Vec<&str> = image.properties.keys().map(String::as_str).collect();
    authz::allows_properties(ctx, Action::ReadProperty, image, &names)
}

/// The image as events tell of it: what the one who acted may not read is in none, since who receives an event is not
/// known here.
///
/// # Errors
/// As [`visible`].
pub(crate) fn told(ctx: &Context, image: &Image) -> Result<Image> {
    visible(ctx, image.clone())
}

/// Whether the caller may read the property `name` of this image. A filter or a sort on one that they may not read
/// must not match, or the value could be guessed (BUG-06).
///
/// # Errors
/// `Unavailable` when a policy errors.
pub fn may_read(ctx: &Context, image: &Image, name: &str) -> Result<bool> {
    authz::allows(ctx, Action::ReadProperty, Resource::Property(image, name))
}

/// Asks for each property of a new image.
///
/// # Errors
/// `Forbidden` for a property that the caller may not create; `Unavailable` when a policy errors.
pub fn guard_create(ctx: &Context, image: &Image) -> Result<()> {
    let names: Vec<&str> = image.properties.keys().map(String::as_str).collect();
    guard(ctx, Action::CreateProperty, image, &names)
}

/// Asks for each property that differs between `old` and `new`. What the caller cannot read must be the same in both:
/// whoever builds `new` puts it back first (BUG-08), so a difference is a change of something unseen and is refused.
///
/// # Errors
/// `Forbidden` for a property that the caller may not create, update or delete; `Unavailable` when a policy errors.
pub fn guard_change(ctx: &Context, old: &Image, new: &Image) -> Result<()> {
    let (mut created, mut updated, mut deleted) = (Vec::new(), Vec::new(), Vec::new());
    for (name, value) in &new.properties {
        match old.properties.get(name) {
            None => created.push(name.as_str()),
            Some(before) if before != value => updated.push(name.as_str()),
            Some(_) => {}
        }
    }
    deleted.extend(old.properties.keys().filter(|name| !new.properties.contains_key(*name)).map(String::as_str));
    // The policies see a created property on the image as it will be, the others on the image as it is.
    guard(ctx, Action::CreateProperty, new, &created)?;
    for (action, names) in [(Action::UpdateProperty, &updated), (Action::DeleteProperty, &deleted)] {
        guard(ctx, Action::ReadProperty, old, names)?;
        guard(ctx, action, old, names)?;
    }
    Ok(())
}

fn guard(ctx: &Context, action: Action, image: &Image, names: &[&str]) -> Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let permitted = authz::allows_properties(ctx, action, image, names)?;
    match names.iter().zip(permitted).find(|(_, may)| !may) {
        Some((name, _)) => Err(refusal(ctx, action, image, name)),
        None => Ok(()),
    }
}

/// Asks once more by the logged way, so that the refusal carries a decision id that the operator finds.
pub(crate) fn refusal(ctx: &Context, action: Action, image: &Image, name: &str) -> Error {
    let text = format!("Property '{name}' is protected");
    match authz::check(ctx, action, Resource::Property(image, name)) {
        Err(denial) => match denial.decision() {
            Some(id) if denial.kind() == crate::Kind::Forbidden => Error::forbidden(text).with_decision(id),
            _ => denial,
        },
        Ok(_) => Error::forbidden(text),
    }
}

#[cfg(test)]
mod tests;
