//! The gate: may this caller do this with that? Cedar policies decide; nothing else grants.

use crate::{
    context::Context,
    error::Result,
    image::{Image, Member},
};

mod action;
mod permit;

pub use action::Action;
pub use permit::Permit;

/// What an action is asked for.
#[derive(Debug, Clone, Copy)]
pub enum Resource<'a> {
    /// The service as a whole: collections, discovery, administration.
    Service,
    /// An image, as it is (or as it would be, for `add_image`).
    Image(&'a Image),
    /// One membership of an image.
    Member(&'a Image, &'a Member),
    /// A custom property of an image.
    Property(&'a Image, &'a str),
    /// A store, for an image if one is at hand.
    Store(&'a StoreFacts, Option<&'a Image>),
}

/// What policies may know of a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreFacts {
    /// Store id.
    pub id: String,
    /// `file`, `rbd` …
    pub kind: String,
    /// Operator's labels (`region`, `class` …), entity tags in Cedar.
    pub labels: std::collections::BTreeMap<String, String>,
}

/// Asks the rules of `ctx` and logs the decision.
///
/// # Errors
/// `Forbidden` with a decision id when the policies do not permit it; `Unavailable` when a policy errors
/// (an error would skip a `forbid`, so it never counts as permission).
pub fn check(ctx: &Context, action: Action, resource: Resource<'_>) -> Result<Permit> {
    let _ = (ctx, action, resource);
    Err(crate::Error::forbidden("skeleton"))
}

/// As [`check`] on an image that was loaded by id: a denial is `NotFound` unless the caller may `get_image`.
///
/// # Errors
/// As [`check`], or `NotFound` where the existence of the image stays hidden.
pub fn check_image(ctx: &Context, action: Action, image: &Image) -> Result<Permit> {
    check(ctx, action, Resource::Image(image))
}

/// Whether the rules permit it, without a log line and without proof: to filter rows of a list and to shape bodies.
///
/// # Errors
/// `Unavailable` when a policy errors.
pub fn allows(ctx: &Context, action: Action, resource: Resource<'_>) -> Result<bool> {
    let _ = (ctx, action, resource);
    Ok(false)
}
