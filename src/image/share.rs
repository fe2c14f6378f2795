//! Share an image with projects.

use super::{Image, Member, MemberStatus, Visibility, show};
use crate::{
    app::App,
    authz::{self, Action, Permit, Resource},
    context::Context,
    error::{Error, Kind, Result},
    notify,
};

/// The memberships that the caller may see.
///
/// # Errors
/// `NotFound`, `Forbidden` when the image is not shared.
pub async fn members(app: &App, ctx: &Context, id: &str) -> Result<Vec<Member>> {
    let image = show::load(app, id).await?;
    authz::check_image(ctx, Action::GetMembers, &image)?;
    check_shared(&image)?;
    let mut seen = Vec::with_capacity(image.members.len());
    for member in &image.members {
        if authz::allows(ctx, Action::GetMember, Resource::Member(&image, member))? {
            seen.push(member.clone());
        }
    }
    Ok(seen)
}

/// One membership.
///
/// # Errors
/// `NotFound`, also where it is denied.
pub async fn member(app: &App, ctx: &Context, id: &str, project: &str) -> Result<Member> {
    let image = show::load(app, id).await?;
    authz::check_image(ctx, Action::GetImage, &image)?;
    let member = find(&image, project)?;
    let permit = authz::check(ctx, Action::GetMember, Resource::Member(&image, member));
    permit.map_err(|denial| denial.hidden_as(unknown(&image, project)))?;
    Ok(member.clone())
}

/// Shares the image with one more project, which has still to accept.
///
/// # Errors
/// `NotFound`, `Forbidden`, `Conflict` when it is a member already, `TooLarge` over the member quota.
pub async fn add_member(app: &App, ctx: &Context, id: &str, project: &str) -> Result<Member> {
    let image = show::load(app, id).await?;
    let permit = authz::check_image(ctx, Action::AddMember, &image)?;
    check_shared(&image)?;
    let now = jiff::Timestamp::now();
    let new = Member { member: project.to_owned(), status: MemberStatus::Pending, created_at: now, updated_at: now };
    let events = [notify::member_event("image.member.create", &image, &new)];
    app.db.add_member(&permit, &image, project, app.config.quota.image_member_quota, &events).await
}

/// Accepts or rejects a membership: for the member, not for the owner.
///
/// # Errors
/// `NotFound`, `Forbidden`.
pub async fn set_member(app: &App, ctx: &Context, id: &str, project: &str, status: MemberStatus) -> Result<Member> {
    let image = show::load(app, id).await?;
    let permit = match image.member(project) {
        Some(member) => check_member(ctx, &image, member)?,
        None => return Err(hide(ctx, &image)?.unwrap_or_else(|| unknown(&image, project))),
    };
    check_shared(&image)?;
    let member = find(&image, project)?;
    let changed = Member { status, updated_at: jiff::Timestamp::now(), ..member.clone() };
    let events = [notify::member_event("image.member.update", &image, &changed)];
    app.db.set_member_status(&permit, &image, project, status, &events).await
}

/// Stops sharing with a project.
///
/// # Errors
/// `NotFound`, `Forbidden`: a member does not leave by itself, it rejects.
pub async fn remove_member(app: &App, ctx: &Context, id: &str, project: &str) -> Result<()> {
    let image = show::load(app, id).await?;
    let permit = authz::check_image(ctx, Action::DeleteMember, &image)?;
    check_shared(&image)?;
    let member = find(&image, project)?;
    let events = [notify::member_deleted(&image, member)];
    app.db.delete_member(&permit, &image, project, &events).await
}

fn check_shared(image: &Image) -> Result<()> {
    if image.visibility == Visibility::Shared {
        Ok(())
    } else {
        Err(Error::forbidden("Only shared images have members."))
    }
}

/// A project that has rejected an image does not see it any more, but may still change its answer. To those who may
/// do neither, the image stays hidden.
fn check_member(ctx: &Context, image: &Image, member: &Member) -> Result<Permit> {
    match authz::check(ctx, Action::ModifyMember, Resource::Member(image, member)) {
        Err(denial) if denial.kind() == Kind::Forbidden => Err(hide(ctx, image)?.unwrap_or(denial)),
        outcome => outcome,
    }
}

/// The answer that hides the image, for a caller who may not see it.
fn hide(ctx: &Context, image: &Image) -> Result<Option<Error>> {
    match authz::check_image(ctx, Action::GetImage, image) {
        Err(e) if e.kind() == Kind::NotFound => Ok(Some(e)),
        Err(e) => Err(e),
        Ok(_) => Ok(None),
    }
}

fn find<'a>(image: &'a Image, project: &str) -> Result<&'a Member> {
    image.member(project).ok_or_else(|| unknown(image, project))
}

fn unknown(image: &Image, project: &str) -> Error {
    Error::not_found(format!("{project} not found in the member list of the image {}.", image.id))
}
