//! The list query: filters, visibility, order and page as one statement, composed once for all three databases.
//!
//! Who may be shown a row falls into disjoint branches (public, own, shared with the caller …). Each branch is a walk of its
//! own index that stops at the page's length; their union is sorted and cut, and only the rows that are left get
//! their tags, properties, members and locations. So a page costs its length, wherever it starts.

use sea_query::{Cond, Expr, ExprTrait, Order, Query, SelectStatement, UnionType};

use super::{
    Db,
    dialect::Dialect,
    row::{self, COLUMNS},
    statement,
};
use crate::{
    error::Result,
    image::{
        Image, MemberStatus, Visibility,
        query::{Direction, Filter, ListQuery, Page, TextColumn, Viewer, VisibilityFilter},
    },
};

mod filter;
mod keyset;

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
    let mut branches = branches(q, viewer)?;
    if q.filters.iter().any(selective) && branches.len() > 1 {
        // A few rows match: one walk of the filter's index beats one walk for each branch.
        let any = branches.into_iter().fold(Cond::any(), Cond::add);
        branches = vec![Cond::all().add(any)];
    }
    let after = page.after.map(|image| keyset::after(&q.sort, image));
    let walk = |branch: Cond| {
        let mut select = Query::select();
        select.columns(COLUMNS.map(|c| ("i", c))).from_as("images", "i");
        select.and_where(col("deleted").eq(0_i64)).and_where(col("os_hidden").eq(i64::from(q.hidden)));
        select.cond_where(branch).cond_where(conditions.clone());
        select.and_where(col("status").ne("killed"));
        if let Some(after) = &after {
            select.cond_where(after.clone());
        }
        ordered(d, &mut select, q, page.limit);
        select
    };
    let mut walks = branches.into_iter().map(walk);
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

/// Disjoint conditions that together are the visibility filter, or `None` where it shows nothing.
fn branches(q: &ListQuery, viewer: &Viewer) -> Option<Vec<Cond>> {
    use Visibility::{Community, Private, Public, Shared};
    let project = viewer.project.as_deref();
    let branches = match (q.visibility, viewer.all_projects) {
        (VisibilityFilter::Nothing, _) => vec![],
        (VisibilityFilter::All, true) => vec![Cond::all()],
        (VisibilityFilter::Only(only), true) => vec![Cond::all().add(is(only))],
        (VisibilityFilter::Default, true) => {
            let not_community = col("visibility").ne(Community.as_str());
            vec![match project {
                Some(project) => Cond::any().add(not_community).add(col("owner").eq(project)),
                None => Cond::all().add(not_community),
            }]
        }
        (VisibilityFilter::Only(only @ (Public | Community)), false) => vec![Cond::all().add(is(only))],
        (VisibilityFilter::Only(Private), false) => {
            project.map(|p| Cond::all().add(col("owner").eq(p)).add(is(Private))).into_iter().collect()
        }
        (VisibilityFilter::Only(Shared), false) => project.map_or_else(Vec::new, |p| {
            vec![Cond::all().add(col("owner").eq(p)).add(is(Shared)), shared_with(p, q.member_status)]
        }),
        (VisibilityFilter::Default, false) => for_project(project, &[Public], q.member_status),
        (VisibilityFilter::All, false) => for_project(project, &[Public, Community], q.member_status),
    };
    (!branches.is_empty()).then_some(branches)
}

/// What is there for everybody, the project's own, and what is shared with it.
fn for_project(project: Option<&str>, everybody: &[Visibility], status: Option<MemberStatus>) -> Vec<Cond> {
    let mut branches: Vec<Cond> = everybody.iter().map(|v| Cond::all().add(is(*v))).collect();
    if let Some(project) = project {
        let others = everybody.iter().map(|v| col("visibility").ne(v.as_str()));
        branches.push(others.fold(Cond::all().add(col("owner").eq(project)), Cond::add));
        branches.push(shared_with(project, status));
    }
    branches
}

fn is(visibility: Visibility) -> Expr {
    col("visibility").eq(visibility.as_str())
}

/// Images of others that are shared with the project, which said `status` (or anything) to it.
fn shared_with(project: &str, status: Option<MemberStatus>) -> Cond {
    let mut membership = Query::select();
    membership
        .column(("m", "image_id"))
        .from_as("image_members", "m")
        .and_where(Expr::col(("m", "member")).eq(project));
    if let Some(status) = status {
        membership.and_where(Expr::col(("m", "status")).eq(status.as_str()));
    }
    Cond::all()
        .add(is(Visibility::Shared))
        .add(Cond::any().add(col("owner").is_null()).add(col("owner").ne(project)))
        .add(col("id").in_subquery(membership))
}
