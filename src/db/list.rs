//! The list query: filters, visibility, order and page as one statement, composed once for all three databases.
//!
//! What the policies let the caller see falls into disjoint walks (public, own, shared with the caller …), each of its
//! own index, that stop at the page's length; their union is sorted and cut, and only the rows that are left get
//! their tags, properties, members and locations. So a page costs its length, wherever it starts.

use sea_query::{Expr, ExprTrait, Order, Query, SelectStatement, UnionType};

use super::{
    Db,
    dialect::Dialect,
    row::{self, COLUMNS},
    statement,
};
use crate::{
    error::Result,
    image::{
        Image,
        query::{Direction, Filter, ListQuery, Page, TextColumn, Viewer},
    },
};

mod condition;
mod filter;
mod keyset;
mod walks;

impl Db {
    /// One page of images, in the order of the query, after the given image: one round trip.
    ///
    /// # Errors
    /// `Unavailable` when the database is.
    pub async fn list_images(&self, q: &ListQuery, viewer: &Viewer, page: Page<'_>) -> Result<Vec<Image>> {
        let Some(statement) = compose(self.inner.dialect, q, viewer, page) else { return Ok(Vec::new()) };
        let (sql, args) = statement::build(self.inner.dialect, &statement)?;
        let rows = self.rows(sql, args).await?;
        rows.iter().map(row::image).collect()
    }
}

/// A column of the image at hand.
fn col(name: &'static str) -> Expr {
    Expr::col(("i", name))
}

/// The statement, or `None` where no image can match.
fn compose(d: Dialect, q: &ListQuery, viewer: &Viewer, page: Page<'_>) -> Option<SelectStatement> {
    let conditions = filter::all(&q.filters)?;
    // Where a few rows match a filter, one walk of the filter's index beats one for each part of what is shown.
    let single = q.filters.iter().any(selective);
    let shown = viewer.grant.shown(q, viewer.all_projects);
    let walks = walks::all(d, &shown, viewer.project.as_deref(), single);
    let after = page.after.map(|image| keyset::after(&q.sort, image));
    let walk = |walk: walks::Walk| {
        let mut select = walk.select();
        select.columns(COLUMNS.map(|c| ("i", c)));
        select.and_where(col("deleted").eq(0_i64)).and_where(col("os_hidden").eq(i64::from(q.hidden)));
        select.cond_where(conditions.clone()).and_where(col("status").ne("killed"));
        if let Some(after) = &after {
            select.cond_where(after.clone());
        }
        ordered(d, &mut select, q, page.limit);
        select
    };
    let mut walks = walks.into_iter().map(walk);
    let first = walks.next()?;
    let rest: Vec<_> = walks.collect();
    let rows = if rest.is_empty() { first } else { merged(d, first, rest, q, page.limit) };
    let mut select = Query::select();
    select.columns(COLUMNS.map(|c| ("i", c))).from_subquery(rows, "i");
    for belongings in row::belongings(d) {
        select.expr(Expr::cust(belongings));
    }
    ordered(d, &mut select, q, page.limit);
    Some(select)
}

/// The first rows of all branches together.
fn merged(
    d: Dialect,
    first: SelectStatement,
    rest: Vec<SelectStatement>,
    q: &ListQuery,
    limit: u32,
) -> SelectStatement {
    let whole = |branch: SelectStatement| {
        let mut select = Query::select();
        select.columns(COLUMNS.map(|c| ("b", c))).from_subquery(branch, "b");
        select
    };
    let mut union = whole(first);
    for branch in rest {
        union.union(UnionType::All, whole(branch));
    }
    let mut select = Query::select();
    select.columns(COLUMNS.map(|c| ("i", c))).from_subquery(union, "i");
    ordered(d, &mut select, q, limit);
    select
}

fn ordered(d: Dialect, select: &mut SelectStatement, q: &ListQuery, limit: u32) {
    for (key, direction) in &q.sort {
        let descending = *direction == Direction::Desc;
        let order = if descending { Order::Desc } else { Order::Asc };
        match d.nulls(descending).filter(|_| keyset::nullable(*key)) {
            Some(nulls) => select.order_by_with_nulls(("i", keyset::column(*key)), order, nulls),
            None => select.order_by(("i", keyset::column(*key)), order),
        };
    }
    select.limit(u64::from(limit));
}

/// Whether an index finds the few rows that match.
fn selective(filter: &Filter) -> bool {
    matches!(filter, Filter::TextIn(TextColumn::Id | TextColumn::Name, _))
}

#[cfg(test)]
mod tests;
