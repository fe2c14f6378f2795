//! Where data lies, as clients read and say it, and the objects of the old PATCH.

use axum::{body::Body, extract::State, http::StatusCode};
use serde_json::{Map, Value as Json};

use super::{
    attributes::shown,
    error::Answer,
    extract::{self, Asked, NoBody, Segments},
    images::json_response,
    router::Api,
    wire::LocationBody,
};
use crate::{
    error::{Error, Result},
    image::{
        self, NewLocation, Validation,
        change::{LocationEdit, Position},
    },
};

/// Characters of a URL.
const URL_MAX: usize = 255;
const ALGORITHMS: [&str; 4] = ["sha1", "sha256", "sha512", "md5"];

/// A bare array, unlike every other list of this API.
pub(super) async fn list(State(api): State<Api>, Asked(ctx): Asked, Segments([id]): Segments<1>, _: NoBody) -> Answer {
    let locations = image::locations(&api.app, &ctx, &id).await?;
    let body: Vec<_> = locations.iter().map(LocationBody::new).collect();
    json_response(StatusCode::OK, &body)
}

pub(super) async fn add(
    State(api): State<Api>,
    Asked(ctx): Asked,
    Segments([id]): Segments<1>,
    body: Body,
) -> Answer<StatusCode> {
    let body = extract::json(body, &api.config.http).await?;
    image::add_location(&api.app, &ctx, &id, parse(&body)?).await?;
    Ok(StatusCode::ACCEPTED)
}

/// The body of R-13. Members that are not known are let pass, as Glance does.
fn parse(body: &Json) -> Result<NewLocation> {
    let body = body.as_object().ok_or_else(|| wrong_type(body, "'object'"))?;
    let url = url(body)?;
    let Some(data) = body.get("validation_data") else {
        return Ok(NewLocation { url, validation: Validation::default() });
    };
    let data = members(data, &["os_hash_algo", "os_hash_value"])?;
    let hash = match (word(data, "os_hash_algo", 64)?, word(data, "os_hash_value", 128)?) {
        (None, None) => None,
        (Some(algorithm), Some(value)) if ALGORITHMS.contains(&algorithm.as_str()) => Some((algorithm, value)),
        (Some(algorithm), Some(_)) => {
            let text = format!("{} is not one of ['{}']", shown(&Json::from(algorithm)), ALGORITHMS.join("', '"));
            return Err(mismatch(&text));
        }
        (Some(_), None) => return Err(mismatch("'os_hash_value' is a dependency of 'os_hash_algo'")),
        (None, Some(_)) => return Err(mismatch("'os_hash_algo' is a dependency of 'os_hash_value'")),
    };
    let validation = Validation { checksum: None, hash };
    validation.check_form().map_err(Error::invalid)?;
    Ok(NewLocation { url, validation })
}

/// What a PATCH of `/locations` asks for: `last` is the last part of its path, `value` is absent for a removal.
pub(super) fn edit(replace: bool, last: &str, value: Option<&Json>) -> Result<LocationEdit> {
    let position = match last {
        "-" => Position::End,
        _ if last.bytes().all(|b| b.is_ascii_digit()) => last.parse().map_or(Position::Nowhere, Position::At),
        _ => Position::Nowhere,
    };
    match value {
        None => Ok(LocationEdit::Remove(position)),
        Some(list) if replace => {
            let list = list.as_array().ok_or_else(|| wrong_type(list, "'array'"))?;
            let list: Vec<_> = list.iter().map(patched).collect::<Result<_>>()?;
            Ok(if list.is_empty() { LocationEdit::Clear } else { LocationEdit::Replace(list) })
        }
        Some(location) => Ok(LocationEdit::Add(position, patched(location)?)),
    }
}

/// A location in a PATCH.
fn patched(location: &Json) -> Result<NewLocation> {
    let object = location.as_object().ok_or_else(|| wrong_type(location, "'object'"))?;
    let url = url(object)?;
    let metadata = object.get("metadata").ok_or_else(|| mismatch("'metadata' is a required property"))?;
    let metadata = metadata.as_object().ok_or_else(|| wrong_type(metadata, "'object'"))?;
    if metadata.keys().any(|key| key != "store") {
        return Err(Error::invalid("Of the metadata of a location only 'store' is kept."));
    }
    let Some(data) = object.get("validation_data") else {
        return Ok(NewLocation { url, validation: Validation::default() });
    };
    let data = members(data, &["checksum", "os_hash_algo", "os_hash_value"])?;
    let checksum = word(data, "checksum", 32)?;
    let required = |name: &str| mismatch(&format!("'{name}' is a required property"));
    let algorithm = word(data, "os_hash_algo", 64)?.ok_or_else(|| required("os_hash_algo"))?;
    let value = word(data, "os_hash_value", 128)?.ok_or_else(|| required("os_hash_value"))?;
    Ok(NewLocation { url, validation: Validation { checksum, hash: Some((algorithm, value)) } })
}

fn url(object: &Map<String, Json>) -> Result<String> {
    let url = object.get("url").ok_or_else(|| mismatch("'url' is a required property"))?;
    let text = url.as_str().ok_or_else(|| wrong_type(url, "'string'"))?;
    if text.chars().count() > URL_MAX {
        return Err(mismatch(&format!("{} is too long", shown(url))));
    }
    if text.contains('\0') {
        return Err(Error::invalid("Text must not contain a NUL character."));
    }
    Ok(text.to_owned())
}

/// An object with no other members than these.
fn members<'j>(json: &'j Json, known: &[&str]) -> Result<&'j Map<String, Json>> {
    let object = json.as_object().ok_or_else(|| wrong_type(json, "'object'"))?;
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => {
            let key = shown(&Json::from(key.as_str()));
            Err(mismatch(&format!("Additional properties are not allowed ({key} was unexpected)")))
        }
        None => Ok(object),
    }
}

/// A hash or its name, in lower case.
fn word(object: &Map<String, Json>, name: &str, most: usize) -> Result<Option<String>> {
    let Some(json) = object.get(name) else { return Ok(None) };
    let text = json.as_str().ok_or_else(|| wrong_type(json, "'string'"))?;
    if text.chars().count() > most {
        return Err(mismatch(&format!("{} is too long", shown(json))));
    }
    Ok(Some(text.to_ascii_lowercase()))
}

fn wrong_type(json: &Json, wanted: &str) -> Error {
    mismatch(&format!("{} is not of type {wanted}", shown(json)))
}

fn mismatch(reason: &str) -> Error {
    Error::invalid(format!("Provided object does not match schema 'location': {reason}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(body: Json) -> String {
        parse(&body).map_or_else(|e| e.message().to_owned(), |new| format!("{new:?}"))
    }

    #[test]
    fn bodies_are_checked_before_anything_is_asked() {
        let md5 = json!({"os_hash_algo": "md5", "os_hash_value": "D".repeat(32)});
        let new = parse(&json!({"url": "rbd://f/p/i/snap", "validation_data": md5, "more": 1})).unwrap();
        assert_eq!(new.validation.hash, Some(("md5".into(), "d".repeat(32))));
        assert_eq!(parse(&json!({"url": "", "validation_data": {}})).unwrap().validation, Validation::default());
        insta::assert_snapshot!(refusal(json!([])), @"Provided object does not match schema 'location': [] is not of type 'object'");
        insta::assert_snapshot!(refusal(json!({})), @"Provided object does not match schema 'location': 'url' is a required property");
        insta::assert_snapshot!(refusal(json!({"url": 5})), @"Provided object does not match schema 'location': 5 is not of type 'string'");
        insta::assert_snapshot!(refusal(json!({"url": "x".repeat(256)})), @"Provided object does not match schema 'location': 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx... is too long");
        insta::assert_snapshot!(refusal(json!({"url": "x", "validation_data": null})), @"Provided object does not match schema 'location': None is not of type 'object'");
        insta::assert_snapshot!(refusal(json!({"url": "x", "validation_data": {"checksum": "1"}})), @"Provided object does not match schema 'location': Additional properties are not allowed ('checksum' was unexpected)");
        insta::assert_snapshot!(refusal(json!({"url": "x", "validation_data": {"os_hash_algo": "md5"}})), @"Provided object does not match schema 'location': 'os_hash_value' is a dependency of 'os_hash_algo'");
        let hash = |algo: &str, value: &str| json!({"url": "x", "validation_data": {"os_hash_algo": algo, "os_hash_value": value}});
        insta::assert_snapshot!(refusal(hash("crc", "1")), @"Provided object does not match schema 'location': 'crc' is not one of ['sha1', 'sha256', 'sha512', 'md5']");
        insta::assert_snapshot!(refusal(hash("md5", "xyz")), @"os_hash_value is not a valid hexadecimal value");
        insta::assert_snapshot!(refusal(hash("sha512", "abcd")), @"os_hash_value is not the correct size for sha512 (should be 64 bytes)");
    }
}
