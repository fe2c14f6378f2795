//! Whatever a client sends: an answer that is the client's fault or a success, never a defect of ours, and the service
//! is there afterwards.

use axum::body::Body;
use proptest::{prelude::*, sample::select, test_runner::TestRunner};
use serde_json::{Value, json};

use crate::support::{ADMIN, ALICE, BOB, TestApp};

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// `{i}` is an image's id, `{s}` any segment.
const PATHS: [&str; 27] = [
    "/",
    "/versions",
    "/healthcheck",
    "/v2",
    "/v2/",
    "/v2.7/images/{i}",
    "/v3/images",
    "/v2/images",
    "/v2/images/{i}",
    "/v2/images/{i}/file",
    "/v2/images/{i}/stage",
    "/v2/images/{i}/import",
    "/v2/images/{i}/tasks",
    "/v2/images/{i}/actions/deactivate",
    "/v2/images/{i}/actions/reactivate",
    "/v2/images/{i}/actions/{s}",
    "/v2/images/{i}/locations",
    "/v2/images/{i}/tags/{s}",
    "/v2/images/{i}/members",
    "/v2/images/{i}/members/{s}",
    "/v2/stores/{s}/{i}",
    "/v2/info/import",
    "/v2/info/stores",
    "/v2/info/stores/detail",
    "/v2/info/usage",
    "/v2/schemas/{s}",
    "/v2/{s}/{s}",
];

const NAMES: [&str; 28] = [
    "limit",
    "marker",
    "sort",
    "sort_key",
    "sort_dir",
    "visibility",
    "member_status",
    "status",
    "owner",
    "tag",
    "name",
    "id",
    "size_min",
    "size_max",
    "protected",
    "os_hidden",
    "created_at",
    "updated_at",
    "disk_format",
    "checksum",
    "os_distro",
    "container_format",
    "min_ram",
    "virtual_size",
    "locations",
    "self",
    "stores",
    "deleted",
];

const HEADERS: [&str; 14] = [
    "content-type",
    "accept",
    "range",
    "if-match",
    "if-none-match",
    "if-range",
    "x-image-meta-store",
    "x-openstack-image-size",
    "content-length",
    "x-auth-token",
    "x-service-token",
    "x-openstack-request-id",
    "user-agent",
    "x-forwarded-proto",
];

const VALUES: [&str; 40] = [
    "",
    "0",
    "1",
    "-1",
    "5",
    "1000000",
    "99999999999999999999",
    "true",
    "False",
    "None",
    "null",
    "shared",
    "public",
    "all",
    "private",
    "accepted",
    "asc",
    "desc",
    "name:asc,id:desc",
    "in:a,b",
    "in:\"a",
    "gt:2020-01-01T00:00:00Z",
    "eq:yesterday",
    "bytes=0-",
    "bytes=5-2",
    "bytes=-0,1-2",
    "\"tag\"",
    "W/\"x\"",
    "*",
    "application/json",
    "application/openstack-images-v2.1-json-patch",
    "application/openstack-images-v2.0-json-patch",
    "application/octet-stream",
    "text/html",
    "alpha",
    "req-00000000-0000-4000-8000-000000000000",
    "alice:blue:member",
    "::",
    "a:b:c:d:e",
    "'; DROP TABLE images; --",
];

#[derive(Debug, Clone)]
struct Request {
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    caller: Option<&'static str>,
}

/// A segment, value or name as nobody expects it.
fn odd() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => select(&VALUES[..]).prop_map(str::to_owned),
        2 => "[ -~]{0,12}",
        1 => any::<String>(),
        1 => (1_usize..400).prop_map(|n| "a".repeat(n)),
    ]
}

fn path(images: Vec<String>) -> impl Strategy<Value = String> {
    let image = prop_oneof![3 => select(images), 1 => odd().prop_map(|s| encoded(&s))];
    let query = proptest::collection::vec(
        (prop_oneof![4 => select(&NAMES[..]).prop_map(str::to_owned), 1 => odd()], odd()),
        0..4,
    );
    (select(&PATHS[..]), image, odd(), query).prop_map(|(path, image, segment, query)| {
        let path = path.replace("{i}", &image).replace("{s}", &encoded(&segment));
        let query: Vec<_> = query.iter().map(|(k, v)| format!("{}={}", encoded(k), encoded(v))).collect();
        if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) }
    })
}

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        odd().prop_map(Value::from),
    ]
}

fn tree() -> impl Strategy<Value = Value> {
    let key = prop_oneof![3 => select(&NAMES[..]).prop_map(str::to_owned), 1 => odd()];
    leaf().prop_recursive(4, 24, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::vec((key.clone(), inner), 0..6).prop_map(|pairs| pairs.into_iter().collect()),
        ]
    })
}

/// A change of the locations as the old API has it, nearly right.
fn locations() -> impl Strategy<Value = Value> {
    let path = select(&["/locations", "/locations/-", "/locations/0", "/locations/x", "/locations/99"][..]);
    let hash = prop_oneof![Just(json!({"os_hash_algo": "sha512", "os_hash_value": "ab".repeat(64)})), tree()];
    let url = prop_oneof![
        select(&["file:///etc/passwd", "rbd://a/b/c/snap", "http://[", ":"][..]).prop_map(str::to_owned),
        odd()
    ];
    let whole = (url, hash).prop_map(|(url, hash)| json!({"url": url, "metadata": {}, "validation_data": hash}));
    let short = odd().prop_map(|url| json!({"url": url, "metadata": {}}));
    let value = prop_oneof![whole.clone(), short, whole.prop_map(|one| json!([one])), tree()];
    let op = select(&["add", "replace", "remove"][..]);
    (op, path, value).prop_map(|(op, path, value)| json!({"op": op, "path": path, "value": value}))
}

/// Something like a JSON patch.
fn patch() -> impl Strategy<Value = Value> {
    let op = select(&["add", "replace", "remove", "move", "test", "", "ADD"][..]);
    let name =
        prop_oneof![3 => select(&NAMES[..]).prop_map(|n| format!("/{n}")), 1 => odd(), 1 => Just("/tags/-".to_owned())];
    let any = (op, name, tree()).prop_map(|(op, path, value)| json!({"op": op, "path": path, "value": value}));
    let change = prop_oneof![3 => any, 1 => locations()];
    proptest::collection::vec(change, 0..5).prop_map(Value::from)
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        2 => Just(Vec::new()),
        3 => tree().prop_map(|v| v.to_string().into_bytes()),
        3 => patch().prop_map(|v| v.to_string().into_bytes()),
        1 => Just(br#"{"member": "green"}"#.to_vec()),
        1 => patch().prop_map(|v| v.to_string().into_bytes().split_off(1)),
        1 => proptest::collection::vec(any::<u8>(), 0..64),
    ]
}

fn request(images: Vec<String>) -> impl Strategy<Value = Request> {
    let value = prop_oneof![3 => select(&VALUES[..]).prop_map(str::to_owned), 1 => "[ -~]{0,40}"];
    let headers = proptest::collection::vec((select(&HEADERS[..]), value), 0..4);
    let caller = select(&[Some(ADMIN), Some(ALICE), Some(ALICE), Some(BOB), None][..]);
    (select(&METHODS[..]), path(images), headers, body(), caller)
        .prop_map(|(method, path, headers, body, caller)| Request { method, path, headers, body, caller })
}

async fn images(app: &TestApp) -> Vec<String> {
    vec![
        app.queued(ALICE, "queued").await,
        app.active(ALICE, "active", b"some bytes").await,
        app.created(ADMIN, json!({"visibility": "public", "disk_format": "raw", "container_format": "bare"})).await,
    ]
}

#[test]
fn no_request_is_answered_with_a_defect() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _entered = runtime.enter();
    let app = runtime.block_on(TestApp::with(|config| config.images.patch_locations = true));
    let images = runtime.block_on(images(&app));
    let config = ProptestConfig::default();
    let config = ProptestConfig { cases: config.cases.max(3000), failure_persistence: None, ..config };
    let check = |r: Request| {
        let headers: Vec<_> = r.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let reply = runtime.block_on(app.request(r.method, &r.path, r.caller, &headers, Body::from(r.body.clone())));
        let code = reply.status.as_u16();
        // Glance answers 501 to a method that it does not know at all.
        prop_assert!(code < 500 || (code == 501 && r.method == "OPTIONS"), "{code} {}", reply.text());
        if reply.header("content-type").starts_with("application/json") && !reply.bytes().is_empty() {
            let body: Result<Value, _> = serde_json::from_slice(&reply.bytes());
            prop_assert!(body.is_ok_and(|b| code < 400 || b["message"].is_string()), "{}", reply.text());
        }
        prop_assert!(!reply.header("x-openstack-request-id").is_empty());
        Ok(())
    };
    TestRunner::new(config).run(&request(images), check).unwrap();
    assert_eq!(runtime.block_on(app.get("/v2/images", ADMIN)).status.as_u16(), 200);
}
