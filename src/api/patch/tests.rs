use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    error::Kind,
    image::{
        NewLocation, Validation,
        change::{LocationEdit, Position, Value},
    },
};

fn v21(document: Json) -> std::result::Result<Vec<Change>, (Kind, String)> {
    parse(&document, Dialect::V21, &config::Images::default()).map_err(|e| (e.kind(), e.message().to_owned()))
}

fn v20(document: Json) -> std::result::Result<Vec<Change>, (Kind, String)> {
    parse(&document, Dialect::V20, &config::Images::default()).map_err(|e| (e.kind(), e.message().to_owned()))
}

fn property(name: &str) -> Value {
    Value::Property(name.into(), "v".into())
}

#[test]
fn both_dialects_say_the_same() {
    let new = v21(json!([
        {"op": "add", "path": "/a", "value": "v"},
        {"op": "replace", "path": "/a~1b~0c", "value": "v"},
        {"op": "remove", "path": "/ a "},
        {"op": "replace", "path": "/locations", "value": []},
    ]));
    let old = v20(json!([
        {"add": "/a", "value": "v"},
        {"replace": "/a~1b~0c", "value": "v"},
        {"remove": "/ a "},
        {"replace": "/locations", "value": []},
    ]));
    let want = |mode| {
        vec![
            Change::Set(mode, property("a")),
            Change::Set(Mode::Replace, property("a/b~c")),
            Change::Remove("a".into()),
            Change::Locations(LocationEdit::Clear),
        ]
    };
    assert_eq!(new.unwrap(), want(Mode::Add));
    assert_eq!(old.unwrap(), want(Mode::AddNew));
}

#[test]
fn refuses_malformed_documents() {
    let invalid = [
        json!({}),
        json!(["x"]),
        json!([{}]),
        json!([{"op": "add"}]),
        json!([{"op": "add", "path": "/a"}]),
        json!([{"op": "add", "path": 1, "value": "x"}]),
        json!([{"op": "move", "path": "/a", "from": "/b"}]),
        json!([{"op": "copy", "path": "/a", "from": "/b"}]),
        json!([{"op": "test", "path": "/a", "value": "x"}]),
        json!([{"op": ["add"], "path": "/a", "value": "x"}]),
        json!([{"op": "add", "path": "a", "value": "x"}]),
        json!([{"op": "add", "path": "", "value": "x"}]),
        json!([{"op": "add", "path": "/", "value": "x"}]),
        json!([{"op": "add", "path": "/ ", "value": "x"}]),
        json!([{"op": "add", "path": "//a", "value": "x"}]),
        json!([{"op": "add", "path": "/a//b", "value": "x"}]),
        json!([{"op": "add", "path": "/a/ /b", "value": "x"}]),
        json!([{"op": "add", "path": "/a/", "value": "x"}]),
        json!([{"op": "add", "path": "/a~2", "value": "x"}]),
        json!([{"op": "add", "path": "/a~", "value": "x"}]),
        json!([{"op": "add", "path": "/a/b", "value": "x"}]),
        json!([{"op": "add", "path": "/tags/-", "value": "x"}]),
        json!([{"op": "add", "path": "/locations", "value": []}]),
        json!([{"op": "replace", "path": "/locations/0", "value": {}}]),
        json!([{"op": "add", "path": "/locations/-", "value": "x"}]),
        json!([{"op": "add", "path": "/a", "value": 1}]),
        json!([{"op": "add", "path": "/a", "value": null}]),
        json!([{"op": "replace", "path": "/name", "value": 1}]),
    ];
    for document in invalid {
        assert_eq!(v21(document.clone()).unwrap_err().0, Kind::Invalid, "{document}");
    }
    for document in [json!([{"value": "x"}]), json!([{"add": "/a", "remove": "/a", "value": "x"}])] {
        assert_eq!(v20(document.clone()).unwrap_err().0, Kind::Invalid, "{document}");
    }
}

#[test]
fn refuses_what_is_not_the_clients() {
    for name in READ_ONLY.into_iter().chain(["location", "deleted", "deleted_at", "os_glance_x", "os_glance"]) {
        for document in [
            json!([{"op": "add", "path": format!("/{name}"), "value": "x"}]),
            json!([{"op": "replace", "path": format!("/{name}"), "value": "x"}]),
            json!([{"op": "remove", "path": format!("/{name}")}]),
        ] {
            assert_eq!(v21(document).unwrap_err().0, Kind::Forbidden, "{name}");
        }
    }
}

#[test]
fn locations_keep_their_depth() {
    let edits = v21(json!([
        {"op": "add", "path": "/locations/-", "value": {"url": "x", "metadata": {}}},
        {"op": "remove", "path": "/locations/0"},
        {"op": "replace", "path": "/locations", "value": [{"url": "x", "metadata": {}}]},
        {"op": "remove", "path": "/stores"},
        {"op": "replace", "path": "/stores", "value": "alpha"},
    ]));
    let there = || NewLocation { url: "x".into(), validation: Validation::default() };
    let want = vec![
        Change::Locations(LocationEdit::Add(Position::End, there())),
        Change::Locations(LocationEdit::Remove(Position::At(0))),
        Change::Locations(LocationEdit::Replace(vec![there()])),
        Change::Remove("stores".into()),
        Change::Derived(Mode::Replace, "stores"),
    ];
    assert_eq!(edits.unwrap(), want);
}

#[test]
fn locations_are_checked_for_their_form() {
    for value in [
        json!("x"),
        json!({}),
        json!({"url": 5, "metadata": {}}),
        json!({"url": "x"}),
        json!({"url": "x", "metadata": []}),
        json!({"url": "x", "metadata": {"mountpoint": "/"}}),
        json!({"url": "x".repeat(256), "metadata": {}}),
        json!({"url": "x", "metadata": {}, "validation_data": {}}),
        json!({"url": "x", "metadata": {}, "validation_data": {"os_hash_algo": "md5"}}),
        json!({"url": "x", "metadata": {}, "validation_data": {"os_hash_algo": 1, "os_hash_value": "1"}}),
        json!({"url": "x", "metadata": {}, "validation_data": {"os_hash_algo": "a", "os_hash_value": "1", "x": 1}}),
    ] {
        let outcome = v21(json!([{"op": "add", "path": "/locations/-", "value": value}]));
        assert_eq!(outcome.map_err(|(kind, _)| kind), Err(Kind::Invalid), "{value}");
    }
    let places = ["-", "0", "7", "99999999999999999999", "x", "-1", "1x"];
    let parsed = places.map(|place| v21(json!([{"op": "remove", "path": format!("/locations/{place}")}])).unwrap());
    let [end, first, other, far, word, minus, mixed] = parsed.map(|changes| changes[0].clone());
    assert_eq!(end, Change::Locations(LocationEdit::Remove(Position::End)));
    assert_eq!(first, Change::Locations(LocationEdit::Remove(Position::At(0))));
    assert_eq!(other, Change::Locations(LocationEdit::Remove(Position::At(7))));
    for nowhere in [far, word, minus, mixed] {
        assert_eq!(nowhere, Change::Locations(LocationEdit::Remove(Position::Nowhere)));
    }
}

#[test]
fn knows_its_media_types() {
    let dialect = |content_type: Option<&str>| {
        let mut headers = HeaderMap::new();
        if let Some(t) = content_type {
            headers.insert(CONTENT_TYPE, HeaderValue::from_str(t).unwrap());
        }
        Dialect::of(&headers).ok()
    };
    assert_eq!(dialect(Some(V21)), Some(Dialect::V21));
    assert_eq!(dialect(Some(&format!("{V20}; charset=utf-8"))), Some(Dialect::V20));
    for other in [None, Some("application/json"), Some("application/json-patch+json"), Some("")] {
        assert_eq!(dialect(other), None);
    }
}

fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        "\\PC{0,8}|add|remove|replace|/[a-z~/]{0,6}|/tags|/name|/locations/-".prop_map(Json::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let key = "op|path|value|add|remove|replace|[a-z]{0,3}";
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::vec((key, inner), 0..4).prop_map(|pairs| Json::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_document_is_taken_or_refused(document in any_json()) {
        for result in [v21(document.clone()), v20(document.clone()), v21(json!([document.clone()])), v20(json!([document]))] {
            if let Err((kind, _)) = result {
                prop_assert!(matches!(kind, Kind::Invalid | Kind::Forbidden));
            }
        }
    }

    #[test]
    fn an_escaped_name_comes_back(name in "[a-z~/]{1,12}") {
        let path = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
        let changes = v21(json!([{"op": "remove", "path": path}])).unwrap();
        prop_assert_eq!(changes, vec![Change::Remove(name)]);
    }
}
