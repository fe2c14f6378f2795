use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::error::Kind;

fn image(status: Status) -> Image {
    Image {
        id: "0b2d0c2e-8b6c-4a9c-8f39-3f3c1f8a9d11".into(),
        name: Some("old".into()),
        status,
        visibility: Visibility::Shared,
        owner: Some("p1".into()),
        protected: false,
        os_hidden: false,
        checksum: None,
        os_hash_algo: None,
        os_hash_value: None,
        size: None,
        virtual_size: None,
        container_format: Some("bare".into()),
        disk_format: Some("raw".into()),
        min_disk: 0,
        min_ram: 0,
        tags: BTreeSet::from(["a".into()]),
        properties: BTreeMap::from([("there".into(), "1".into())]),
        members: Vec::new(),
        locations: Vec::new(),
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
        version: 1,
    }
}

fn somewhere() -> NewLocation {
    NewLocation { url: "rbd://a/b/c/snap".into(), validation: crate::image::Validation::default() }
}

fn property(name: &str) -> Value {
    Value::Property(name.into(), "new".into())
}

fn outcome(status: Status, change: Change) -> std::result::Result<Image, (Kind, String)> {
    apply(&image(status), &[change], &config::Images::default()).map_err(|e| (e.kind(), e.message().to_owned()))
}

#[test]
fn every_row_of_the_patch_rules() {
    use Change::{Derived, Locations, Remove, Set};
    use Kind::{Conflict, Forbidden};
    type Row = (Status, Change, Option<(Kind, &'static str)>);
    let rows: Vec<Row> = vec![
        (Status::Queued, Set(Mode::Add, property("absent")), None),
        (Status::Queued, Set(Mode::Add, property("there")), None),
        (Status::Queued, Set(Mode::AddNew, property("absent")), None),
        (Status::Queued, Set(Mode::AddNew, property("there")), Some((Conflict, "Property there already present."))),
        (Status::Queued, Set(Mode::AddNew, Value::Name(None)), Some((Conflict, "Property name already present."))),
        (Status::Queued, Set(Mode::Replace, property("there")), None),
        (Status::Queued, Set(Mode::Replace, property("absent")), Some((Conflict, "Property absent does not exist."))),
        (Status::Queued, Remove("there".into()), None),
        (Status::Queued, Remove("absent".into()), Some((Conflict, "Property absent does not exist."))),
        (Status::Queued, Remove("name".into()), Some((Forbidden, "Property name may not be removed."))),
        (Status::Queued, Remove("tags".into()), Some((Forbidden, "Property tags may not be removed."))),
        (Status::Queued, Remove("stores".into()), Some((Conflict, "Property stores does not exist."))),
        (Status::Queued, Derived(Mode::Replace, "stores"), Some((Conflict, "Property stores does not exist."))),
        (Status::Queued, Derived(Mode::Add, "stores"), Some((Forbidden, "Attribute 'stores' is read-only."))),
        (Status::Queued, Set(Mode::Replace, Value::DiskFormat(Some("qcow2".into()))), None),
        (Status::Importing, Set(Mode::Replace, Value::ContainerFormat(Some("ovf".into()))), None),
        (
            Status::Active,
            Set(Mode::Replace, Value::DiskFormat(Some("qcow2".into()))),
            Some((Forbidden, "Attribute disk_format can be only replaced for a queued image.")),
        ),
        (
            Status::Saving,
            Set(Mode::Add, Value::ContainerFormat(None)),
            Some((Forbidden, "Attribute container_format can be only replaced for a queued image.")),
        ),
        (Status::Active, Set(Mode::Replace, Value::Visibility(Visibility::Public)), None),
        (Status::Active, Set(Mode::Add, Value::Owner(Some("p1".into()))), None),
        (
            Status::Active,
            Locations(LocationEdit::Add(Position::End, somewhere())),
            Some((Forbidden, "It's not allowed to add locations if locations are invisible.")),
        ),
        (
            Status::Active,
            Locations(LocationEdit::Remove(Position::At(0))),
            Some((Forbidden, "It's not allowed to remove locations if locations are invisible.")),
        ),
        (
            Status::Active,
            Locations(LocationEdit::Replace(vec![somewhere()])),
            Some((Forbidden, "It's not allowed to update locations if locations are invisible.")),
        ),
        (Status::Active, Locations(LocationEdit::Clear), Some((Forbidden, "Cannot set locations to empty list."))),
    ];
    for (status, change, refusal) in rows {
        let got = outcome(status, change.clone()).err();
        let want = refusal.map(|(kind, text)| (kind, text.to_owned()));
        assert_eq!(got, want, "{change:?} on a {} image", status.as_str());
    }
}

#[test]
fn sets_every_attribute() {
    let tags = BTreeSet::from(["x".to_owned(), "y".to_owned()]);
    let values = [
        Value::Name(None),
        Value::Visibility(Visibility::Community),
        Value::Protected(true),
        Value::Hidden(true),
        Value::Owner(None),
        Value::ContainerFormat(None),
        Value::DiskFormat(None),
        Value::MinDisk(3),
        Value::MinRam(512),
        Value::Tags(tags.clone()),
        property("there"),
    ];
    let changes: Vec<_> = values.into_iter().map(|v| Change::Set(Mode::Replace, v)).collect();
    let new = apply(&image(Status::Queued), &changes, &config::Images::default()).unwrap();
    let want = Image {
        name: None,
        visibility: Visibility::Community,
        protected: true,
        os_hidden: true,
        owner: None,
        container_format: None,
        disk_format: None,
        min_disk: 3,
        min_ram: 512,
        tags,
        properties: BTreeMap::from([("there".into(), "new".into())]),
        ..image(Status::Queued)
    };
    assert_eq!(new, want);
}

#[test]
fn later_changes_see_earlier_ones() {
    let changes = [Change::Remove("there".into()), Change::Set(Mode::AddNew, property("there"))];
    let new = apply(&image(Status::Active), &changes, &config::Images::default()).unwrap();
    assert_eq!(new.properties.get("there").map(String::as_str), Some("new"));
    let twice = [Change::Remove("there".into()), Change::Remove("there".into())];
    assert_eq!(apply(&image(Status::Active), &twice, &config::Images::default()).unwrap_err().kind(), Kind::Conflict);
}

fn any_change() -> impl Strategy<Value = Change> {
    let mode = prop_oneof![Just(Mode::Add), Just(Mode::AddNew), Just(Mode::Replace)];
    let name = "there|other|[a-z]{1,3}";
    prop_oneof![
        (mode, name, ".{0,5}").prop_map(|(m, n, v)| Change::Set(m, Value::Property(n, v))),
        name.prop_map(Change::Remove),
    ]
}

proptest! {
    /// Properties behave like a map, and nothing but properties is touched.
    #[test]
    fn properties_follow_a_map(changes in prop::collection::vec(any_change(), 0..12)) {
        let before = image(Status::Active);
        let mut model = Some(before.properties.clone());
        for change in &changes {
            let Some(map) = &mut model else { break };
            let fits = match change {
                Change::Set(Mode::Add, _) => true,
                Change::Set(Mode::AddNew, v) => !map.contains_key(v.name()),
                Change::Set(Mode::Replace, v) => map.contains_key(v.name()),
                Change::Remove(n) => map.contains_key(n),
                _ => false,
            };
            match change {
                _ if !fits => model = None,
                Change::Set(_, Value::Property(n, v)) => drop(map.insert(n.clone(), v.clone())),
                Change::Remove(n) => drop(map.remove(n)),
                _ => {}
            }
        }
        let got = apply(&before, &changes, &config::Images::default()).ok();
        let want = model.map(|properties| Image { properties, ..before });
        prop_assert_eq!(got, want);
    }
}
