//! JSON values of image attributes: form and type, checked one attribute at a time without a generic validator.
//!
//! The limits are those of the published image schema (see `schemas`); the texts are like those of a JSON schema
//! validator, because people search for them.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use crate::{
    config,
    error::{Error, Result},
    image::{Visibility, change::Value},
};

/// Characters of a name, an owner, a tag, a property's name at most.
pub(super) const TEXT_MAX: usize = 255;
/// Set by the service alone: writing them is refused by name.
pub(super) const READ_ONLY: [&str; 13] = [
    "created_at",
    "updated_at",
    "status",
    "checksum",
    "size",
    "virtual_size",
    "direct_url",
    "self",
    "file",
    "schema",
    "id",
    "os_hash_algo",
    "os_hash_value",
];
/// Names that are never a custom property.
const RESERVED: [&str; 3] = ["location", "deleted", "deleted_at"];
/// Prefix of the internal properties.
const RESERVED_PREFIX: &str = "os_glance";

/// Refuses names that are not the client's to write.
pub(super) fn check_reserved(name: &str) -> Result<()> {
    if RESERVED.contains(&name) || name.starts_with(RESERVED_PREFIX) {
        return Err(Error::forbidden(format!("Attribute '{name}' is reserved.")));
    }
    Ok(())
}

/// The value of attribute or custom property `name`. An empty owner is no owner: policies, lists and the ledger know of
/// none.
///
/// # Errors
/// `Invalid` when type or form is not what the image schema says.
pub(super) fn parse(name: &str, json: &Json, rules: &config::Images) -> Result<Value> {
    Ok(match name {
        "name" => Value::Name(nullable_text(json, rules)?),
        "owner" => Value::Owner(nullable_text(json, rules)?.filter(|owner| !owner.is_empty())),
        "visibility" => Value::Visibility(visibility(json)?),
        "protected" => Value::Protected(boolean(json)?),
        "os_hidden" => Value::Hidden(boolean(json)?),
        "container_format" => Value::ContainerFormat(one_of(json, &rules.container_formats)?),
        "disk_format" => Value::DiskFormat(one_of(json, &rules.disk_formats)?),
        "min_disk" => Value::MinDisk(amount(name, json)?),
        "min_ram" => Value::MinRam(amount(name, json)?),
        "tags" => Value::Tags(tags(json, rules)?),
        _ => property(name, json, rules)?,
    })
}

fn property(name: &str, json: &Json, rules: &config::Images) -> Result<Value> {
    check_name(name, rules)?;
    let text = json.as_str().ok_or_else(|| wrong_type(json, "'string'"))?;
    check_characters(text, rules)?;
    if matches!(name, "kernel_id" | "ramdisk_id") && !is_uuid(text) {
        return Err(mismatch(format!("{} does not match '{UUID_PATTERN}'", shown(json))));
    }
    Ok(Value::Property(name.to_owned(), text.to_owned()))
}

fn check_name(name: &str, rules: &config::Images) -> Result<()> {
    if name.is_empty() {
        return Err(Error::invalid("The name of a custom property must not be empty."));
    }
    if name.chars().count() > TEXT_MAX {
        return Err(Error::invalid("Custom property should not be greater than 255 characters."));
    }
    check_characters(name, rules)
}

/// The pattern of ids in the image schema.
pub(super) const UUID_PATTERN: &str =
    "^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$";

/// Whether `text` is of [`UUID_PATTERN`].
pub(super) fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

/// An id that the creator chose.
pub(super) fn id(json: &Json) -> Result<String> {
    match json.as_str() {
        Some(text) if is_uuid(text) => Ok(text.to_owned()),
        Some(_) => Err(mismatch(format!("{} does not match '{UUID_PATTERN}'", shown(json)))),
        None => Err(wrong_type(json, "'string'")),
    }
}

/// A tag, in a body or in a path.
pub(super) fn check_tag(tag: &str, rules: &config::Images) -> Result<()> {
    if tag.chars().count() > TEXT_MAX {
        return Err(mismatch(format!("{} is too long", shown(&Json::from(tag)))));
    }
    check_characters(tag, rules)
}

fn tags(json: &Json, rules: &config::Images) -> Result<BTreeSet<String>> {
    let items = json.as_array().ok_or_else(|| wrong_type(json, "'array'"))?;
    let mut tags = BTreeSet::new();
    for item in items {
        let tag = item.as_str().ok_or_else(|| wrong_type(item, "'string'"))?;
        check_tag(tag, rules)?;
        tags.insert(tag.to_owned());
    }
    Ok(tags)
}

fn nullable_text(json: &Json, rules: &config::Images) -> Result<Option<String>> {
    match json {
        Json::Null => Ok(None),
        Json::String(text) => {
            if text.chars().count() > TEXT_MAX {
                return Err(mismatch(format!("{} is too long", shown(json))));
            }
            check_characters(text, rules)?;
            Ok(Some(text.clone()))
        }
        _ => Err(wrong_type(json, "'null', 'string'")),
    }
}

/// No database takes a NUL in a text; the rest beyond the Basic Multilingual Plane is the operator's choice.
pub(super) fn check_characters(text: &str, rules: &config::Images) -> Result<()> {
    if text.contains('\0') {
        return Err(Error::invalid("Text must not contain a NUL character."));
    }
    if rules.strict_utf8mb3 && text.chars().any(|c| u32::from(c) > 0xFFFF) {
        return Err(Error::invalid("Text must not contain characters of more than 3 bytes in UTF-8."));
    }
    Ok(())
}

fn visibility(json: &Json) -> Result<Visibility> {
    let text = json.as_str().ok_or_else(|| wrong_type(json, "'string'"))?;
    text.parse()
        .map_err(|_| mismatch(format!("{} is not one of ['community', 'public', 'private', 'shared']", shown(json))))
}

fn boolean(json: &Json) -> Result<bool> {
    json.as_bool().ok_or_else(|| wrong_type(json, "'boolean'"))
}

fn one_of(json: &Json, words: &[String]) -> Result<Option<String>> {
    match json {
        Json::Null => Ok(None),
        Json::String(text) if words.contains(text) => Ok(Some(text.clone())),
        Json::String(_) => {
            let known: Vec<_> = words.iter().map(|w| format!("'{w}'")).collect();
            Err(mismatch(format!("{} is not one of [None, {}]", shown(json), known.join(", "))))
        }
        _ => Err(wrong_type(json, "'null', 'string'")),
    }
}

fn amount(name: &str, json: &Json) -> Result<u32> {
    if !json.is_i64() && !json.is_u64() {
        return Err(wrong_type(json, "'integer'"));
    }
    json.as_i64()
        .and_then(|n| i32::try_from(n).ok())
        .and_then(|n| u32::try_from(n).ok())
        .ok_or_else(|| Error::invalid(format!("Attribute {name} must be between 0 and {}.", i32::MAX)))
}

fn mismatch(reason: String) -> Error {
    Error::invalid(format!("Provided object does not match schema 'image': {reason}"))
}

pub(super) fn wrong_type(json: &Json, wanted: &str) -> Error {
    mismatch(format!("{} is not of type {wanted}", shown(json)))
}

/// The value for a message: short, and in the notation of the validator that people know.
pub(super) fn shown(json: &Json) -> String {
    const SHOWN: usize = 64;
    let text = match json {
        Json::Null => "None".to_owned(),
        Json::Bool(true) => "True".to_owned(),
        Json::Bool(false) => "False".to_owned(),
        Json::String(s) => format!("'{s}'"),
        other => other.to_string(),
    };
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text,
    }
}
