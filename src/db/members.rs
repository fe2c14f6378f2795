//! Memberships: with whom an image is shared, and what they said to it.

use super::{
    Db, changes, images, outbox,
    row::{now, time},
    tx::{Fail, Tx, args, is_duplicate, transaction},
};
use crate::{
    authz::Permit,
    error::{Error, Result},
    image::{Image, Member, MemberStatus},
    notify::Event,
};

impl Db {
    /// Shares an image with a project, `pending` even if it was shared before. `max` memberships at most.
    ///
    /// # Errors
    /// `Conflict` when it is shared already, `TooLarge` over `max`, `NotFound` when the image is gone.
    pub async fn add_member(
        &self,
        p: &Permit,
        image: &Image,
        member: &str,
        max: Option<u32>,
        events: &[Event],
    ) -> Result<Member> {
        p.covers(&image.id)?;
        changes::text("member", member, 255)?;
        transaction!(self, tx => add(&mut tx, &image.id, member, max, events))
    }

    /// Records what a project says to an image that is shared with it.
    ///
    /// # Errors
    /// `NotFound` when image or membership is gone.
    pub async fn set_member_status(
        &self,
        p: &Permit,
        image: &Image,
        member: &str,
        status: MemberStatus,
        events: &[Event],
    ) -> Result<Member> {
        p.covers(&image.id)?;
        transaction!(self, tx => set(&mut tx, &image.id, member, status, events))
    }

    /// Stops sharing.
    ///
    /// # Errors
    /// `NotFound` when image or membership is gone.
    pub async fn delete_member(&self, p: &Permit, image: &Image, member: &str, events: &[Event]) -> Result<()> {
        p.covers(&image.id)?;
        transaction!(self, tx => delete(&mut tx, &image.id, member, events))
    }
}

/// Takes the image row, so that changes of one image's members follow one another. Members are no change of the
/// image itself: `updated_at` stays.
async fn lock(tx: &mut Tx, image: &str) -> Result<(), Fail> {
    let sql = "UPDATE images SET version = version + 1 WHERE id = ? AND deleted = 0";
    if tx.run(sql, args![image]).await? == 0 {
        return Err(images::missing(image).into());
    }
    Ok(())
}

async fn add(tx: &mut Tx, image: &str, member: &str, max: Option<u32>, events: &[Event]) -> Result<Member, Fail> {
    lock(tx, image).await?;
    let there = tx.number("SELECT COUNT(*) FROM image_members WHERE image_id = ?", args![image]).await?;
    let own = "SELECT COUNT(*) FROM image_members WHERE image_id = ? AND member = ?";
    if tx.number(own, args![image, member]).await? > 0 {
        return Err(duplicate(image, member));
    }
    if let Some(max) = max
        && there >= i64::from(max)
    {
        return Err(Error::too_large(format!(
            "The limit has been exceeded on the number of allowed image members for this image. Attempted: {}, \
             Maximum: {max}",
            there + 1
        ))
        .into());
    }
    let at = now();
    let sql = "INSERT INTO image_members (image_id, member, status, created_at, updated_at) VALUES (?, ?, ?, ?, ?)";
    tx.run(sql, args![image, member, MemberStatus::Pending.as_str(), at, at])
        .await
        .map_err(|e| if is_duplicate(&e) { duplicate(image, member) } else { e.into() })?;
    outbox::write(tx, events, None).await?;
    find(tx, image, member).await
}

async fn set(tx: &mut Tx, image: &str, member: &str, status: MemberStatus, events: &[Event]) -> Result<Member, Fail> {
    lock(tx, image).await?;
    let sql = "UPDATE image_members SET status = ?, updated_at = ? WHERE image_id = ? AND member = ?";
    if tx.run(sql, args![status.as_str(), now(), image, member]).await? == 0 {
        return Err(unknown(image, member));
    }
    outbox::write(tx, events, None).await?;
    find(tx, image, member).await
}

async fn delete(tx: &mut Tx, image: &str, member: &str, events: &[Event]) -> Result<(), Fail> {
    lock(tx, image).await?;
    let sql = "DELETE FROM image_members WHERE image_id = ? AND member = ?";
    if tx.run(sql, args![image, member]).await? == 0 {
        return Err(unknown(image, member));
    }
    outbox::write(tx, events, None).await
}

async fn find(tx: &mut Tx, image: &str, member: &str) -> Result<Member, Fail> {
    let sql = "SELECT status, created_at, updated_at FROM image_members WHERE image_id = ? AND member = ?";
    let row = tx.one(sql, args![image, member]).await?.ok_or_else(|| unknown(image, member))?;
    let status: String = super::row::get(&row, 0)?;
    Ok(Member {
        member: member.to_owned(),
        status: status.parse().map_err(Error::internal)?,
        created_at: time(super::row::get(&row, 1)?)?,
        updated_at: time(super::row::get(&row, 2)?)?,
    })
}

fn duplicate(image: &str, member: &str) -> Fail {
    Error::conflict(format!("Image member {member} already exists for image {image}")).into()
}

fn unknown(image: &str, member: &str) -> Fail {
    Error::not_found(format!("{member} not found in the member list of the image {image}.")).into()
}
