//! Events leave once, after commit, and only for changes that happened.

use fanlight::{notify, quota::Limits};

use super::{create, image, on_each, permit};

#[test]
fn events_wait_until_sent() {
    on_each(|db, kind| async move {
        let new = image(Some("p"));
        let event = notify::image_event("image.create", &new);
        db.create_image(&permit(), &new, &Limits::default(), std::slice::from_ref(&event)).await.expect("created");
        let events = db.pending_events(10).await.expect("events");
        assert_eq!(events.len(), 1, "on {kind}");
        assert_eq!((events[0].event_type.as_str(), &events[0].payload["id"]), ("image.create", &new.id.clone().into()));
        assert_eq!(db.pending_events(10).await.expect("taken by the first"), []);
        db.events_sent(&[events[0].id]).await.expect("sent");
        let refused = db.create_image(&permit(), &new, &Limits::default(), &[event]).await;
        assert!(refused.is_err());
        assert_eq!(db.pending_events(10).await.expect("none"), []);
    });
}

#[test]
fn an_event_tells_the_state_after_the_change() {
    on_each(|db, _| async move {
        let old = create(&db, &image(Some("p"))).await;
        let mut new = old.clone();
        new.name = Some("n".into());
        let event = notify::image_event("image.update", &old);
        db.save_image(&permit(), &new, &[event]).await.expect("saved");
        let events = db.pending_events(10).await.expect("events");
        assert_eq!(events[0].payload["name"], "n");
    });
}
