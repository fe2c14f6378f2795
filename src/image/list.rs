//! List images: filters, order, paging and what the policies say in the database. Where the policies cannot be
//! said to a database, the gate decides each row.
//!
//! A page is filled until it has as many *visible* rows as asked for, or there are no more (BUG-03): a policy that
//! hides many rows makes a page dearer, never shorter.

use super::{
    Image, View,
    query::{Filter, ListQuery, Page, Viewer},
    show::load,
};
use crate::{
    app::App,
    authz::{self, Action, Resource, Sight},
    context::Context,
    error::{Error, Kind, Result},
    protect,
};

/// Rows read at a time when the gate hides some, so that a page is not filled row by row.
const REFILL_MAX: u32 = 1000;
/// Rows that are looked at in one go.
const TURN: usize = 16;

/// One page of a list.
#[derive(Debug)]
pub struct Listing {
    /// Visible images in order.
    pub images: Vec<View>,
    /// Where the next page starts, when there is at least one more visible image.
    pub next: Option<String>,
}

/// One page of the images that match `query` and that the caller may see, after image `marker`.
///
/// # Errors
/// `Invalid` for a marker that is unknown or not visible; `Forbidden` by policy `get_images`.
pub async fn list(app: &App, ctx: &Context, query: &ListQuery, marker: Option<&str>, limit: u32) -> Result<Listing> {
    authz::check(ctx, Action::GetImages, Resource::Service)?;
    let sight = authz::sight(ctx)?;
    let viewer = Viewer {
        project: ctx.caller.project_id.clone().filter(|p| !p.is_empty()),
        all_projects: authz::allows(ctx, Action::GetAllImages, Resource::Service)?,
        grant: sight.grant.clone(),
    };
    let mut after = match marker {
        Some(id) => Some(load_marker(app, ctx, id).await?),
        None => None,
    };
    if limit == 0 {
        return Ok(Listing { images: Vec::new(), next: None });
    }

    // One row more than the page tells whether there is a next page.
    let wanted = limit as usize + 1;
    let mut images = Vec::with_capacity(wanted.min(64));
    let mut step = limit + 1;
    loop {
        let rows = app.db.list_images(query, &viewer, Page { after: after.as_ref(), limit: step }).await?;
        let exhausted = rows.len() < step as usize;
        let last = if exhausted { None } else { rows.last().cloned() };
        for (n, row) in rows.into_iter().enumerate() {
            if images.len() < wanted && is_visible(ctx, query, &sight, &row)? {
                images.push(row);
            }
            take_turns(n).await;
        }
        if images.len() >= wanted || exhausted {
            break;
        }
        after = last;
        step = step.saturating_mul(2).min(REFILL_MAX.max(limit + 1));
    }

    let more = images.len() > limit as usize;
    images.truncate(limit as usize);
    let next = if more { images.last().map(|i| i.id.clone()) } else { None };
    let mut views = Vec::with_capacity(images.len());
    for (n, image) in images.into_iter().enumerate() {
        views.push(View::of(app, ctx, image)?);
        take_turns(n).await;
    }
    Ok(Listing { images: views, next })
}

/// Lets other requests run in between: a row may cost some hundred microseconds of evaluation.
async fn take_turns(row: usize) {
    if row % TURN == TURN - 1 {
        tokio::task::yield_now().await;
    }
}

/// The gate's word, unless the database knew it (or candidate rules are to be compared), and no answer to a filter on a
/// property that the caller may not read (BUG-06).
fn is_visible(ctx: &Context, query: &ListQuery, sight: &Sight, image: &Image) -> Result<bool> {
    for filter in &query.filters {
        if let Filter::Property(name, _) = filter
            && !protect::may_read(ctx, image, name)?
        {
            return Ok(false);
        }
    }
    Ok(sight.grant.exact && ctx.shadow.is_none() || sight.shows(ctx, image)?)
}

async fn load_marker(app: &App, ctx: &Context, id: &str) -> Result<Image> {
    let invalid = || Error::invalid(format!("Invalid marker. Image {id} could not be found."));
    let image = load(app, id).await.map_err(|e| if e.kind() == Kind::NotFound { invalid() } else { e })?;
    authz::check(ctx, Action::GetImage, Resource::Image(&image)).map_err(|e| e.hidden_as(invalid()))?;
    Ok(image)
}
