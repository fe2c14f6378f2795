//! Paging by the last row's keys: what comes after it in the order of the list. Nulls come first ascending.

use sea_query::{Cond, Expr, ExprTrait, Value};

use super::col;
use crate::image::{
    Image,
    query::{Direction, SortKey},
};

/// The column of a sort key.
pub(super) fn column(key: SortKey) -> &'static str {
    match key {
        SortKey::Name => "name",
        SortKey::Status => "status",
        SortKey::ContainerFormat => "container_format",
        SortKey::DiskFormat => "disk_format",
        SortKey::Size => "size",
        SortKey::Id => "id",
        SortKey::CreatedAt => "created_at",
        SortKey::UpdatedAt => "updated_at",
    }
}

/// Whether images without this key exist.
pub(super) fn nullable(key: SortKey) -> bool {
    matches!(key, SortKey::Name | SortKey::ContainerFormat | SortKey::DiskFormat | SortKey::Size)
}

fn value(key: SortKey, image: &Image) -> Option<Value> {
    match key {
        SortKey::Name => image.name.clone().map(Value::from),
        SortKey::Status => Some(image.status.as_str().into()),
        SortKey::ContainerFormat => image.container_format.clone().map(Value::from),
        SortKey::DiskFormat => image.disk_format.clone().map(Value::from),
        SortKey::Size => image.size.map(|size| i64::try_from(size).unwrap_or(i64::MAX).into()),
        SortKey::Id => Some(image.id.clone().into()),
        SortKey::CreatedAt => Some(image.created_at.as_microsecond().into()),
        SortKey::UpdatedAt => Some(image.updated_at.as_microsecond().into()),
    }
}

/// Rows that follow `image`: after it in the first key; or equal in that and after it in the second; and so on.
pub(super) fn after(sort: &[(SortKey, Direction)], image: &Image) -> Cond {
    let mut any = Cond::any();
    let mut equal = Cond::all();
    for (key, direction) in sort {
        let value = value(*key, image);
        if let Some(beyond) = beyond(*key, *direction, value.clone()) {
            any = any.add(equal.clone().add(beyond));
        }
        equal = equal.add(match value {
            Some(value) => col(column(*key)).eq(value),
            None => col(column(*key)).is_null(),
        });
    }
    match sort.first().and_then(|(key, direction)| bound(*key, *direction, value(*key, image))) {
        Some(bound) => Cond::all().add(bound).add(any),
        None => Cond::all().add(any),
    }
}

/// Strictly after `value` in one key; `None` where nothing can be.
fn beyond(key: SortKey, direction: Direction, value: Option<Value>) -> Option<Cond> {
    let column = col(column(key));
    match (direction, value) {
        (Direction::Asc, Some(value)) => Some(Cond::all().add(column.gt(value))),
        (Direction::Asc, None) => Some(Cond::all().add(column.is_not_null())),
        (Direction::Desc, Some(value)) if nullable(key) => {
            Some(Cond::any().add(column.clone().lt(value)).add(column.is_null()))
        }
        (Direction::Desc, Some(value)) => Some(Cond::all().add(column.lt(value))),
        (Direction::Desc, None) => None,
    }
}

/// What every following row fulfils in the first key, said once more in a form that lets an index start there.
fn bound(key: SortKey, direction: Direction, value: Option<Value>) -> Option<Expr> {
    match (direction, value?) {
        (Direction::Asc, value) => Some(col(column(key)).gte(value)),
        (Direction::Desc, value) if !nullable(key) => Some(col(column(key)).lte(value)),
        (Direction::Desc, _) => None,
    }
}
