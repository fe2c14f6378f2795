//! Order of a list (F-03 to F-06): two notations, one total order.

use crate::{
    error::{Error, Result},
    image::query::{Direction, SortKey},
};

/// The parameters `sort`, `sort_key` and `sort_dir` as they come.
#[derive(Debug, Default)]
pub(super) struct Order {
    pairs: Option<Vec<(SortKey, Direction)>>,
    keys: Vec<SortKey>,
    directions: Vec<Direction>,
}

impl Order {
    pub fn take(&mut self, name: &str, value: &str) -> Result<()> {
        match name {
            "sort_key" => self.keys.push(key(value.trim())?),
            "sort_dir" => self.directions.push(direction(value.trim())?),
            _ => self.pairs = Some(value.trim().split(',').map(pair).collect::<Result<_>>()?),
        }
        Ok(())
    }

    /// The whole order, which ends in `created_at` and `id`, so that no two images are equal in it.
    pub fn finish(self) -> Result<Vec<(SortKey, Direction)>> {
        let (asked, tail) = match self.pairs {
            Some(_) if !self.keys.is_empty() || !self.directions.is_empty() => {
                return Err(Error::invalid("Old and new sorting syntax cannot be combined"));
            }
            // A single direction holds for the keys that are appended too.
            Some(pairs) => {
                let tail = if let [(_, only)] = pairs.as_slice() { *only } else { Direction::Desc };
                (pairs, tail)
            }
            None => classic(self.keys, &self.directions)?,
        };
        let mut order: Vec<(SortKey, Direction)> = Vec::with_capacity(asked.len() + 2);
        for (key, direction) in asked.into_iter().chain([(SortKey::CreatedAt, tail), (SortKey::Id, tail)]) {
            if order.iter().all(|(k, _)| *k != key) {
                order.push((key, direction));
            }
        }
        Ok(order)
    }
}

type Pairs = Vec<(SortKey, Direction)>;

fn classic(mut keys: Vec<SortKey>, directions: &[Direction]) -> Result<(Pairs, Direction)> {
    if directions.len() > 1 && directions.len() != keys.len() {
        return Err(Error::invalid("Number of sort dirs does not match the number of sort keys"));
    }
    if keys.is_empty() {
        keys.push(SortKey::CreatedAt);
    }
    Ok(match directions {
        [] => (keys.into_iter().map(|k| (k, Direction::Desc)).collect(), Direction::Desc),
        [one] => (keys.into_iter().map(|k| (k, *one)).collect(), *one),
        many => (keys.into_iter().zip(many.iter().copied()).collect(), Direction::Desc),
    })
}

fn pair(text: &str) -> Result<(SortKey, Direction)> {
    match text.split_once(':') {
        None | Some((_, "")) => Ok((key(text.trim_end_matches(':').trim())?, Direction::Desc)),
        Some((name, word)) => Ok((key(name.trim())?, direction(word.trim())?)),
    }
}

const KEYS: [(&str, SortKey); 8] = [
    ("name", SortKey::Name),
    ("status", SortKey::Status),
    ("container_format", SortKey::ContainerFormat),
    ("disk_format", SortKey::DiskFormat),
    ("size", SortKey::Size),
    ("id", SortKey::Id),
    ("created_at", SortKey::CreatedAt),
    ("updated_at", SortKey::UpdatedAt),
];

fn key(name: &str) -> Result<SortKey> {
    KEYS.iter().find(|(n, _)| *n == name).map(|(_, k)| *k).ok_or_else(|| {
        let known = KEYS.map(|(n, _)| n).join(", ");
        let name = super::short(name);
        Error::invalid(format!("Invalid sort key: {name}. It must be one of the following: {known}"))
    })
}

fn direction(word: &str) -> Result<Direction> {
    match word {
        "asc" => Ok(Direction::Asc),
        "desc" => Ok(Direction::Desc),
        _ => Err(Error::invalid(format!("Invalid sort direction: {}", super::short(word)))),
    }
}
