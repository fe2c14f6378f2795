//! Tags and properties: what may be stored, and writing only what differs.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    row::get,
    tx::{Arg, Fail, Tx, args},
};
use crate::{
    error::{Error, Result},
    image::Image,
};

/// Rows of one INSERT; keeps the number of parameters far below every server's limit.
const BATCH: usize = 100;

/// Characters of a short text column.
const SHORT: usize = 255;
/// Characters of a property's value.
const LONG: usize = 65_535;

/// Refuses what one of the databases could not hold, so that all three accept the same.
pub(super) fn storable(image: &Image) -> Result<()> {
    text("id", &image.id, 64)?;
    for (what, value, most) in [
        ("name", &image.name, SHORT),
        ("owner", &image.owner, SHORT),
        ("container_format", &image.container_format, 64),
        ("disk_format", &image.disk_format, 64),
        ("checksum", &image.checksum, 32),
        ("os_hash_algo", &image.os_hash_algo, 64),
        ("os_hash_value", &image.os_hash_value, 128),
    ] {
        value.as_deref().map_or(Ok(()), |value| text(what, value, most))?;
    }
    image.tags.iter().try_for_each(|tag| text("tag", tag, SHORT))?;
    image.properties.iter().try_for_each(|(name, value)| {
        text("property name", name, SHORT)?;
        text(name, value, LONG)
    })
}

/// Refuses a text that is too long or has a NUL, which PostgreSQL cannot hold.
pub(super) fn text(what: &str, value: &str, most: usize) -> Result<()> {
    if value.contains('\0') {
        return Err(Error::invalid(format!("Invalid {what}: the NUL character is not allowed")));
    }
    // No character is shorter than a byte, so short texts need no count.
    if value.len() > most && value.chars().count() > most {
        return Err(Error::invalid(format!("Invalid {what}: longer than {most} characters")));
    }
    Ok(())
}

/// Makes the tags of an image these.
pub(super) async fn save_tags(tx: &mut Tx, id: &str, tags: &BTreeSet<String>) -> Result<(), Fail> {
    let rows = tx.all("SELECT tag FROM image_tags WHERE image_id = ?", args![id]).await?;
    let old = rows.iter().map(|row| get::<String>(row, 0)).collect::<Result<BTreeSet<_>>>()?;
    for tag in old.difference(tags) {
        tx.run("DELETE FROM image_tags WHERE image_id = ? AND tag = ?", args![id, tag]).await?;
    }
    insert_tags(tx, id, tags.difference(&old)).await
}

/// Makes the properties of an image these.
pub(super) async fn save_properties(tx: &mut Tx, id: &str, new: &BTreeMap<String, String>) -> Result<(), Fail> {
    let rows = tx.all("SELECT name, value FROM image_properties WHERE image_id = ?", args![id]).await?;
    let old = rows
        .iter()
        .map(|row| Ok((get::<String>(row, 0)?, get::<String>(row, 1)?)))
        .collect::<Result<BTreeMap<_, _>>>()?;
    for (name, value) in &old {
        match new.get(name) {
            Some(same) if same == value => {}
            Some(other) => {
                let sql = "UPDATE image_properties SET value = ? WHERE image_id = ? AND name = ?";
                tx.run(sql, args![other, id, name]).await?;
            }
            None => {
                tx.run("DELETE FROM image_properties WHERE image_id = ? AND name = ?", args![id, name]).await?;
            }
        }
    }
    insert_properties(tx, id, new.iter().filter(|(name, _)| !old.contains_key(*name))).await
}

/// Adds tags that are not there.
pub(super) async fn insert_tags(tx: &mut Tx, id: &str, tags: impl Iterator<Item = &String>) -> Result<(), Fail> {
    let rows: Vec<_> = tags.map(|tag| args![id, tag]).collect();
    insert(tx, "INSERT INTO image_tags (image_id, tag) VALUES ", "(?, ?)", &rows).await
}

/// Adds properties that are not there.
pub(super) async fn insert_properties(
    tx: &mut Tx,
    id: &str,
    properties: impl Iterator<Item = (&String, &String)>,
) -> Result<(), Fail> {
    let rows: Vec<_> = properties.map(|(name, value)| args![id, name, value]).collect();
    insert(tx, "INSERT INTO image_properties (image_id, name, value) VALUES ", "(?, ?, ?)", &rows).await
}

async fn insert(tx: &mut Tx, head: &str, row: &str, rows: &[Vec<Arg>]) -> Result<(), Fail> {
    for batch in rows.chunks(BATCH) {
        let sql = format!("{head}{}", vec![row; batch.len()].join(", "));
        tx.run(&sql, batch.concat()).await?;
    }
    Ok(())
}
