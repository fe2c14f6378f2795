//! What a PATCH does to an image, as a pure function: all changes apply in memory or none does.
//!
//! Form has been checked before (see `api`); here are the rules that need the image: what exists, what may be removed,
//! what is fixed once data has arrived.

use std::collections::BTreeSet;

use super::{Image, NewLocation, Status, Visibility};
use crate::{
    config,
    error::{Error, Result},
};

/// One attribute with a new value of the right type and form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `name`
    Name(Option<String>),
    /// `visibility`
    Visibility(Visibility),
    /// `protected`
    Protected(bool),
    /// `os_hidden`
    Hidden(bool),
    /// `owner`
    Owner(Option<String>),
    /// `container_format`
    ContainerFormat(Option<String>),
    /// `disk_format`
    DiskFormat(Option<String>),
    /// `min_disk`
    MinDisk(u32),
    /// `min_ram`
    MinRam(u32),
    /// `tags`
    Tags(BTreeSet<String>),
    /// A custom property.
    Property(String, String),
}

impl Value {
    /// The name of the attribute.
    pub fn name(&self) -> &str {
        match self {
            Self::Name(_) => "name",
            Self::Visibility(_) => "visibility",
            Self::Protected(_) => "protected",
            Self::Hidden(_) => "os_hidden",
            Self::Owner(_) => "owner",
            Self::ContainerFormat(_) => "container_format",
            Self::DiskFormat(_) => "disk_format",
            Self::MinDisk(_) => "min_disk",
            Self::MinRam(_) => "min_ram",
            Self::Tags(_) => "tags",
            Self::Property(name, _) => name,
        }
    }
}

/// How a value is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Sets it, whether it exists or not (`add` of media type v2.1).
    Add,
    /// Only when it does not exist (`add` of media type v2.0).
    AddNew,
    /// Only when it exists.
    Replace,
}

/// What was asked of the list of locations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocationEdit {
    /// `add` to the list.
    Add(Position, NewLocation),
    /// `remove` from the list.
    Remove(Position),
    /// `replace` the list.
    Replace(Vec<NewLocation>),
    /// `replace` by nothing.
    Clear,
}

/// A place in the list of locations, as the caller is shown it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// `-`
    End,
    /// A number.
    At(usize),
    /// A word that names no place.
    Nowhere,
}

/// One operation of a PATCH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Sets an attribute or a custom property.
    Set(Mode, Value),
    /// Removes a custom property.
    Remove(String),
    /// Edits locations by the old API.
    Locations(LocationEdit),
    /// Sets an attribute that bodies show but that is not stored under its name (`stores`).
    Derived(Mode, &'static str),
}

/// Attributes that every image has: they can be set but never removed.
const LASTING: [&str; 10] = [
    "name",
    "visibility",
    "protected",
    "os_hidden",
    "owner",
    "container_format",
    "disk_format",
    "min_disk",
    "min_ram",
    "tags",
];

/// `image` after all of `changes`.
///
/// # Errors
/// `Conflict` for a property that should be there and is not (or the reverse), `Forbidden` for what may not be
/// removed or not be changed in this state.
pub fn apply(image: &Image, changes: &[Change], rules: &config::Images) -> Result<Image> {
    let mut image = image.clone();
    for change in changes {
        match change {
            Change::Set(mode, value) => set(&mut image, *mode, value)?,
            Change::Remove(name) => remove(&mut image, name)?,
            Change::Locations(edit) => return Err(locations_refused(edit, rules)),
            Change::Derived(Mode::Replace, name) => return Err(absent(name)),
            Change::Derived(_, name) => {
                return Err(Error::forbidden(format!("Attribute '{name}' is read-only.")));
            }
        }
    }
    Ok(image)
}

fn set(image: &mut Image, mode: Mode, value: &Value) -> Result<()> {
    let exists = match value {
        Value::Property(name, _) => image.properties.contains_key(name),
        _ => true,
    };
    match mode {
        Mode::AddNew if exists => {
            return Err(Error::conflict(format!("Property {} already present.", value.name())));
        }
        Mode::Replace if !exists => return Err(absent(value.name())),
        Mode::Add | Mode::AddNew | Mode::Replace => {}
    }
    match value {
        Value::Name(v) => image.name.clone_from(v),
        Value::Visibility(v) => image.visibility = *v,
        Value::Protected(v) => image.protected = *v,
        Value::Hidden(v) => image.os_hidden = *v,
        Value::Owner(v) => image.owner.clone_from(v),
        Value::ContainerFormat(v) => {
            check_format_free(image, "container_format")?;
            image.container_format.clone_from(v);
        }
        Value::DiskFormat(v) => {
            check_format_free(image, "disk_format")?;
            image.disk_format.clone_from(v);
        }
        Value::MinDisk(v) => image.min_disk = *v,
        Value::MinRam(v) => image.min_ram = *v,
        Value::Tags(v) => image.tags.clone_from(v),
        Value::Property(name, v) => drop(image.properties.insert(name.clone(), v.clone())),
    }
    Ok(())
}

fn remove(image: &mut Image, name: &str) -> Result<()> {
    if LASTING.contains(&name) {
        return Err(Error::forbidden(format!("Property {name} may not be removed.")));
    }
    image.properties.remove(name).map(drop).ok_or_else(|| absent(name))
}

fn absent(name: &str) -> Error {
    Error::conflict(format!("Property {name} does not exist."))
}

/// The formats say what the data is: they are fixed as soon as there is data.
fn check_format_free(image: &Image, attribute: &str) -> Result<()> {
    if matches!(image.status, Status::Queued | Status::Importing) {
        Ok(())
    } else {
        Err(Error::forbidden(format!("Attribute {attribute} can be only replaced for a queued image.")))
    }
}

/// Unless the operator permits it (`images.patch_locations`), clients do not say where bytes lie.
fn locations_refused(edit: &LocationEdit, rules: &config::Images) -> Error {
    let verb = match edit {
        LocationEdit::Add(..) => "add",
        LocationEdit::Remove(_) => "remove",
        LocationEdit::Replace(_) => "update",
        LocationEdit::Clear => return Error::forbidden("Cannot set locations to empty list."),
    };
    if rules.show_locations {
        Error::forbidden(format!("It's not allowed to {verb} locations: the service writes them itself."))
    } else {
        Error::forbidden(format!("It's not allowed to {verb} locations if locations are invisible."))
    }
}

#[cfg(test)]
mod tests;
