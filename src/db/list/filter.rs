//! Filters of a list as conditions.

use jiff::Timestamp;
use sea_query::{Cond, Expr, ExprTrait, Query};

use super::col;
use crate::image::query::{Comparison, Filter, IntColumn, TextColumn, TimeColumn};

/// Microseconds of a second.
const SECOND: i64 = 1_000_000;

/// All filters, or `None` where one of them matches no image.
pub(super) fn all(filters: &[Filter]) -> Option<Cond> {
    filters.iter().try_fold(Cond::all(), |all, filter| Some(all.add(one(filter)?)))
}

fn one(filter: &Filter) -> Option<Cond> {
    let expr = match filter {
        Filter::Nothing => return None,
        Filter::TextIn(column, values) => text_in(*column, values)?,
        Filter::IntEq(column, n) => int(*column).eq(*n),
        Filter::IntMin(column, n) => int(*column).gte(*n),
        Filter::IntMax(column, n) => int(*column).lte(*n),
        Filter::Protected(yes) => col("protected").eq(i64::from(*yes)),
        Filter::Time(column, comparison, at) => return time(*column, *comparison, *at),
        Filter::Tag(tag) => {
            let tag = possible(tag)?;
            let mut tags = Query::select();
            tags.expr(Expr::cust("1")).from_as("image_tags", "t");
            tags.and_where(Expr::col(("t", "image_id")).eq(col("id"))).and_where(Expr::col(("t", "tag")).eq(tag));
            Expr::exists(tags)
        }
        Filter::Property(name, value) => {
            let (name, value) = (possible(name)?, possible(value)?);
            let mut properties = Query::select();
            properties.expr(Expr::cust("1")).from_as("image_properties", "p");
            properties.and_where(Expr::col(("p", "image_id")).eq(col("id")));
            properties.and_where(Expr::col(("p", "name")).eq(name)).and_where(Expr::col(("p", "value")).eq(value));
            Expr::exists(properties)
        }
    };
    Some(Cond::all().add(expr))
}

fn text_in(column: TextColumn, values: &[String]) -> Option<Expr> {
    let column = col(self::column(column));
    let values: Vec<&str> = values.iter().filter_map(|v| possible(v)).collect();
    match values.as_slice() {
        [] => None,
        [value] => Some(column.eq(*value)),
        _ => Some(column.is_in(values)),
    }
}

/// The column of a text.
pub(super) fn column(column: TextColumn) -> &'static str {
    match column {
        TextColumn::Id => "id",
        TextColumn::Name => "name",
        TextColumn::Status => "status",
        TextColumn::Visibility => "visibility",
        TextColumn::ContainerFormat => "container_format",
        TextColumn::DiskFormat => "disk_format",
        TextColumn::Owner => "owner",
        TextColumn::Checksum => "checksum",
        TextColumn::OsHashAlgo => "os_hash_algo",
        TextColumn::OsHashValue => "os_hash_value",
    }
}

/// A text that an image can have: one with a NUL is in no row, and PostgreSQL does not even take it as a parameter.
pub(super) fn possible(text: &str) -> Option<&str> {
    (!text.contains('\0')).then_some(text)
}

pub(super) fn int(column: IntColumn) -> Expr {
    col(match column {
        IntColumn::Size => "size",
        IntColumn::VirtualSize => "virtual_size",
        IntColumn::MinDisk => "min_disk",
        IntColumn::MinRam => "min_ram",
    })
}

/// Compares the time that the API shows, which is in whole seconds: each comparison becomes a range of microseconds.
fn time(column: TimeColumn, comparison: Comparison, at: Timestamp) -> Option<Cond> {
    let column = || {
        col(match column {
            TimeColumn::CreatedAt => "created_at",
            TimeColumn::UpdatedAt => "updated_at",
        })
    };
    // The last whole second up to `at`, the first from it on, and whether they are the same.
    let (whole, nanos) = (at.as_nanosecond(), 1_000_000_000_i128);
    let floor = i64::try_from(whole.div_euclid(nanos)).ok()?.checked_mul(SECOND)?;
    let exact = whole.rem_euclid(nanos) == 0;
    let ceil = if exact { floor } else { floor + SECOND };
    let next = floor + SECOND;
    Some(match comparison {
        Comparison::Gt => Cond::all().add(column().gte(next)),
        Comparison::Gte => Cond::all().add(column().gte(ceil)),
        Comparison::Lt => Cond::all().add(column().lt(ceil)),
        Comparison::Lte => Cond::all().add(column().lt(next)),
        Comparison::Eq if exact => Cond::all().add(column().gte(floor)).add(column().lt(next)),
        Comparison::Eq => return None,
        Comparison::Neq if exact => Cond::any().add(column().lt(floor)).add(column().gte(next)),
        Comparison::Neq => Cond::all(),
    })
}
