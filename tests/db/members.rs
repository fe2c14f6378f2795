//! Memberships.

use fanlight::{Kind, image::MemberStatus};

use super::{create, image, on_each, permit};

#[test]
fn members_come_and_go_and_start_over_as_pending() {
    on_each(|db, kind| async move {
        let image = create(&db, &image(Some("p"))).await;
        let p = permit();
        let member = db.add_member(&p, &image, "q", Some(1), &[]).await.expect("a member");
        assert_eq!(member.status, MemberStatus::Pending);
        let twice = db.add_member(&p, &image, "q", None, &[]).await.expect_err("there already");
        assert_eq!(twice.kind(), Kind::Conflict, "on {kind}");
        let over = db.add_member(&p, &image, "r", Some(1), &[]).await.expect_err("one at most");
        assert_eq!(over.kind(), Kind::TooLarge);
        let said = db.set_member_status(&p, &image, "q", MemberStatus::Accepted, &[]).await.expect("a change");
        let read = db.image(&image.id).await.expect("a read").expect("the image");
        assert_eq!(read.members, [said]);
        assert_eq!(read.updated_at, image.updated_at);
        assert!(read.version > image.version);
        db.delete_member(&p, &image, "q", &[]).await.expect("a delete");
        let gone = db.delete_member(&p, &image, "q", &[]).await.expect_err("gone");
        assert_eq!(gone.kind(), Kind::NotFound);
        let again = db.add_member(&p, &image, "q", Some(1), &[]).await.expect("again");
        assert_eq!(again.status, MemberStatus::Pending);
    });
}
