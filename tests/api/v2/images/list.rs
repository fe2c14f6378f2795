//! what the query string does; the filters themselves are held against an oracle elsewhere.

use crate::support::{ALICE, TestApp};

#[tokio::test]
async fn links_lead_through_all_pages() {
    let app = TestApp::new().await;
    for name in ["a", "b", "c"] {
        app.created(ALICE, serde_json::json!({"name": name, "tags": ["x", "y"]})).await;
    }
    let mut path = "/v2/images?tag=x&tag=y&limit=2&sort=name:asc".to_owned();
    let mut names = Vec::new();
    loop {
        let page = app.get(&path, ALICE).await.json();
        assert_eq!(page["first"], "/v2/images?tag=x&tag=y&limit=2&sort=name%3Aasc");
        names.extend(page["images"].as_array().unwrap().iter().map(|i| i["name"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => path = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(names, ["a", "b", "c"]);
}

#[tokio::test]
async fn bad_queries_are_refused() {
    let app = TestApp::new().await;
    for query in [
        "limit=-1",
        "limit=x",
        "marker=unknown",
        "sort_key=owner",
        "sort=name&sort_dir=asc",
        "visibility=x",
        "member_status=x",
        "os_hidden=1",
        "name=a:b",
        "created_at=x",
        "size_min=x",
        "foo_min=1",
        "members=x",
        "locations=x",
        "properties=x",
        "changes-since=2020",
        "a=%ff",
    ] {
        let reply = app.get(&format!("/v2/images?{query}"), ALICE).await;
        assert_eq!(reply.status.as_u16(), 400, "{query}: {}", reply.text());
    }
    for query in ["limit=0", "status=nonsense", "size=x", "visibility=", "deleted=true", "anything=x", "a=%00"] {
        assert_eq!(app.get(&format!("/v2/images?{query}"), ALICE).await.status.as_u16(), 200, "{query}");
    }
}
