//! Rows to images: the columns that are read, and their decoding.

use std::str::FromStr;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use sqlx::{Row, any::AnyRow};

use super::dialect::Dialect;
use crate::{
    error::{Error, Result},
    image::{Image, Location, Member},
};

/// The columns of `images` that an [`Image`] has, in the order that [`image`] reads them.
pub(super) const COLUMNS: [&str; 19] = [
    "id",
    "name",
    "status",
    "visibility",
    "owner",
    "protected",
    "os_hidden",
    "checksum",
    "os_hash_algo",
    "os_hash_value",
    "size",
    "virtual_size",
    "container_format",
    "disk_format",
    "min_disk",
    "min_ram",
    "created_at",
    "updated_at",
    "version",
];

/// What belongs to the image `i`, as JSON text, so that an image is one row.
pub(super) fn belongings(d: Dialect) -> [String; 4] {
    [
        d.json_rows("t.tag", "image_tags t WHERE t.image_id = i.id"),
        d.json_rows("p.name, p.value", "image_properties p WHERE p.image_id = i.id"),
        d.json_rows("m.member, m.status, m.created_at, m.updated_at", "image_members m WHERE m.image_id = i.id"),
        d.json_rows("l.id, l.store, l.url, l.created_at", "image_locations l WHERE l.image_id = i.id"),
    ]
}

/// Reads one image that is not deleted.
pub(super) fn image_by_id(d: Dialect) -> String {
    let columns = COLUMNS.map(|c| format!("i.{c}")).join(", ");
    let belongings = belongings(d).join(", ");
    format!("SELECT {columns}, {belongings} FROM images i WHERE i.id = ? AND i.deleted = 0")
}

/// The image in a row of [`COLUMNS`] and [`belongings`].
pub(super) fn image(row: &AnyRow) -> Result<Image> {
    let tags: Vec<(String,)> = json(row, 19)?;
    let properties: Vec<(String, String)> = json(row, 20)?;
    let mut members: Vec<(String, String, i64, i64)> = json(row, 21)?;
    let mut locations: Vec<(String, String, String, i64)> = json(row, 22)?;
    members.sort_unstable_by(|a, b| (a.2, &a.0).cmp(&(b.2, &b.0)));
    locations.sort_unstable_by(|a, b| (a.3, &a.0).cmp(&(b.3, &b.0)));
    Ok(Image {
        id: get(row, 0)?,
        name: get(row, 1)?,
        status: word(&get::<String>(row, 2)?)?,
        visibility: word(&get::<String>(row, 3)?)?,
        owner: get(row, 4)?,
        protected: get::<i64>(row, 5)? != 0,
        os_hidden: get::<i64>(row, 6)? != 0,
        checksum: get(row, 7)?,
        os_hash_algo: get(row, 8)?,
        os_hash_value: get(row, 9)?,
        size: get::<Option<i64>>(row, 10)?.map(unsigned).transpose()?,
        virtual_size: get::<Option<i64>>(row, 11)?.map(unsigned).transpose()?,
        container_format: get(row, 12)?,
        disk_format: get(row, 13)?,
        min_disk: unsigned(get(row, 14)?)?,
        min_ram: unsigned(get(row, 15)?)?,
        tags: tags.into_iter().map(|(tag,)| tag).collect(),
        properties: properties.into_iter().collect(),
        members: members.into_iter().map(member).collect::<Result<_>>()?,
        locations: locations.into_iter().map(|(id, store, url, _)| Location { id, store, url }).collect(),
        created_at: time(get(row, 16)?)?,
        updated_at: time(get(row, 17)?)?,
        version: get(row, 18)?,
    })
}

fn member((member, status, created, updated): (String, String, i64, i64)) -> Result<Member> {
    Ok(Member { member, status: word(&status)?, created_at: time(created)?, updated_at: time(updated)? })
}

/// The value of a column.
pub(super) fn get<T>(row: &AnyRow, index: usize) -> Result<T>
where
    for<'r> T: sqlx::Decode<'r, sqlx::Any> + sqlx::Type<sqlx::Any>,
{
    row.try_get(index).map_err(Error::internal)
}

/// A number that is never negative.
pub(super) fn unsigned<T: TryFrom<i64>>(value: i64) -> Result<T> {
    T::try_from(value).map_err(|_| Error::internal(format!("the database holds `{value}` where it cannot be")))
}

/// A size as the database holds it.
pub(super) fn signed(value: u64) -> Result<i64> {
    i64::try_from(value).map_err(|_| Error::too_large("Sizes beyond 2^63 - 1 bytes are not possible."))
}

/// A time as the database holds it, in microseconds.
pub(super) fn time(micros: i64) -> Result<Timestamp> {
    Timestamp::from_microsecond(micros).map_err(Error::internal)
}

/// Now, in microseconds.
pub(super) fn now() -> i64 {
    Timestamp::now().as_microsecond()
}

pub(super) fn word<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(text: &str) -> Result<T> {
    text.parse().map_err(Error::internal)
}

/// Rows that were aggregated to JSON text; no rows may be `NULL`.
fn json<T: DeserializeOwned>(row: &AnyRow, index: usize) -> Result<Vec<T>> {
    match get::<Option<String>>(row, index)? {
        Some(text) => serde_json::from_str(&text).map_err(Error::internal),
        None => Ok(Vec::new()),
    }
}
