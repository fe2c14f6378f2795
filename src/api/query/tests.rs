use proptest::prelude::*;

use super::*;
use crate::image::{
    Visibility,
    query::{Direction, SortKey},
};

fn parse(raw: &str) -> std::result::Result<Listed, String> {
    Listed::parse(raw, &config::Images::default()).map_err(|e| {
        assert_eq!(e.kind(), crate::Kind::Invalid, "{raw}");
        e.message().to_owned()
    })
}

fn filters(raw: &str) -> Vec<Filter> {
    parse(raw).unwrap().query.filters
}

#[test]
fn f01_limit() {
    let limit = |raw| parse(raw).map(|l| l.limit);
    assert_eq!(limit(""), Ok(25));
    assert_eq!(limit("limit=0"), Ok(0));
    assert_eq!(limit("limit=7"), Ok(7));
    assert_eq!(limit("limit=1001"), Ok(1000));
    assert_eq!(limit("limit=99999999999999999999"), Ok(1000));
    assert_eq!(limit("limit=-1").unwrap_err(), "limit param must be positive");
    for bad in ["limit=x", "limit=", "limit=1.5", "limit=-"] {
        assert_eq!(limit(bad).unwrap_err(), "limit param must be an integer");
    }
}

#[test]
fn f02_marker_is_not_a_filter() {
    let listed = parse("marker=m&limit=2").unwrap();
    assert_eq!((listed.marker.as_deref(), listed.query.filters.len()), (Some("m"), 0));
}

#[test]
fn f03_to_f06_order() {
    use Direction::{Asc, Desc};
    use SortKey::{CreatedAt, Id, Name, Size};
    let sort = |raw| parse(raw).map(|l| l.query.sort);
    assert_eq!(sort("").unwrap(), [(CreatedAt, Desc), (Id, Desc)]);
    assert_eq!(sort("sort_dir=asc").unwrap(), [(CreatedAt, Asc), (Id, Asc)]);
    assert_eq!(sort("sort_key=name").unwrap(), [(Name, Desc), (CreatedAt, Desc), (Id, Desc)]);
    let one_for_all = sort("sort_key=name&sort_key=size&sort_dir=asc").unwrap();
    assert_eq!(one_for_all, [(Name, Asc), (Size, Asc), (CreatedAt, Asc), (Id, Asc)]);
    let each = sort("sort_key=name&sort_dir=asc&sort_key=size&sort_dir=desc").unwrap();
    assert_eq!(each, [(Name, Asc), (Size, Desc), (CreatedAt, Desc), (Id, Desc)]);
    assert_eq!(sort("sort=name:asc,size:desc").unwrap(), each);
    assert_eq!(sort("sort=name").unwrap(), [(Name, Desc), (CreatedAt, Desc), (Id, Desc)]);
    assert_eq!(sort("sort=id:asc,id:desc").unwrap(), [(Id, Asc), (CreatedAt, Desc)]);
    for bad in [
        "sort_key=owner",
        "sort_dir=up",
        "sort=name:up",
        "sort=",
        "sort=name,,size",
        "sort=name&sort_key=name",
        "sort=name&sort_dir=asc",
        "sort_key=name&sort_dir=asc&sort_dir=asc",
    ] {
        assert!(sort(bad).is_err(), "{bad}");
    }
}

#[test]
fn f07_to_f11_words() {
    let visibility = |raw| parse(raw).map(|l| l.query.visibility);
    assert_eq!(visibility(""), Ok(VisibilityFilter::Default));
    assert_eq!(visibility("visibility="), Ok(VisibilityFilter::Nothing));
    assert_eq!(visibility("visibility=all"), Ok(VisibilityFilter::All));
    assert_eq!(visibility("visibility=community"), Ok(VisibilityFilter::Only(Visibility::Community)));
    assert_eq!(visibility("visibility=x").unwrap_err(), "Invalid visibility value: x");

    let status = |raw| parse(raw).map(|l| l.query.member_status);
    assert_eq!(status(""), Ok(Some(MemberStatus::Accepted)));
    assert_eq!(status("member_status=all"), Ok(None));
    assert_eq!(status("member_status=pending"), Ok(Some(MemberStatus::Pending)));
    assert!(status("member_status=x").is_err());

    assert!(!parse("").unwrap().query.hidden);
    assert!(parse("os_hidden=true").unwrap().query.hidden);
    assert_eq!(
        parse("os_hidden=1").unwrap_err(),
        "Invalid value '1' for 'os_hidden' filter. Valid values are 'true' or 'false'."
    );
    assert_eq!(filters("protected=true"), [Filter::Protected(true)]);
    assert!(parse("protected=yes").is_err());
}

#[test]
fn f12_f13_text() {
    assert_eq!(filters("tag=+a+&tag=b"), [Filter::Tag("a".into()), Filter::Tag("b".into())]);
    let name = |words: &[&str]| [Filter::TextIn(TextColumn::Name, words.iter().map(|w| (*w).to_owned()).collect())];
    assert_eq!(filters("name=a"), name(&["a"]));
    assert_eq!(filters("name=eq:a:b"), name(&["a:b"]));
    assert_eq!(filters("name=in:a,b"), name(&["a", "b"]));
    assert_eq!(filters(r#"name=in:"a,b",c"#), name(&["a,b", "c"]));
    assert_eq!(filters(r#"name=in:"a\"b""#), name(&["a\"b"]));
    assert_eq!(filters("status=x"), [Filter::TextIn(TextColumn::Status, vec!["x".into()])]);
    for bad in ["name=a:b", "name=gt:a", "name=neq:a", r#"name=in:"a"#, r#"name=in:a"b""#, r#"name=in:"a"b"#] {
        assert!(parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn f14_times() {
    let at = |c, s: &str| [Filter::Time(TimeColumn::CreatedAt, c, s.parse().unwrap())];
    let want = "2024-01-02T03:04:05Z";
    assert_eq!(filters("created_at=2024-01-02T03:04:05Z"), at(Comparison::Eq, want));
    assert_eq!(filters("created_at=gt:2024-01-02T03:04:05"), at(Comparison::Gt, want));
    assert_eq!(filters("created_at=neq:2024-01-02T04:04:05%2B01:00"), at(Comparison::Neq, want));
    assert_eq!(filters("created_at=lte:2024-01-02T04:04:05+01:00"), at(Comparison::Lte, want));
    assert_eq!(filters("created_at=lt:2024-01-02"), at(Comparison::Lt, "2024-01-02T00:00:00Z"));
    for bad in ["created_at=x", "created_at=", "updated_at=foo:2024-01-02T03:04:05Z", "created_at=-009999-01-01"] {
        assert!(parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn f15_to_f19_numbers_and_properties() {
    assert_eq!(filters("size_min=1"), [Filter::IntMin(IntColumn::Size, 1)]);
    assert_eq!(filters("min_ram_max=2"), [Filter::IntMax(IntColumn::MinRam, 2)]);
    assert_eq!(filters("min_disk=3"), [Filter::IntEq(IntColumn::MinDisk, 3)]);
    assert_eq!(filters("size=x"), [Filter::Nothing]);
    assert_eq!(filters("owner=p"), [Filter::TextIn(TextColumn::Owner, vec!["p".into()])]);
    assert_eq!(filters("os_distro=debian"), [Filter::Property("os_distro".into(), "debian".into())]);
    assert_eq!(filters("deleted=true"), []);
    assert_eq!(filters("a=%00"), [Filter::Nothing]);
    for bad in ["size_min=x", "foo_min=1", "foo_max=1", "members=x", "locations=x", "properties=x"] {
        assert!(parse(bad).is_err(), "{bad}");
    }
    assert!(parse("changes-since=2020").unwrap_err().contains("no longer available"));
}

#[test]
fn f22_links_keep_repeated_parameters() {
    let listed = parse("tag=a&tag=b&limit=1&marker=old&name=in:%22x,y%22").unwrap();
    insta::assert_snapshot!(listed.first(), @"/v2/images?tag=a&tag=b&limit=1&name=in%3A%22x%2Cy%22");
    insta::assert_snapshot!(listed.next("new"), @"/v2/images?tag=a&tag=b&limit=1&name=in%3A%22x%2Cy%22&marker=new");
    assert_eq!(parse("marker=x").unwrap().first(), "/v2/images");
}

#[test]
fn input_is_bounded() {
    let many = vec!["tag=a"; 200].join("&");
    assert!(parse(&many).is_err());
    let wide = format!("name=in:{}", vec!["a"; 300].join(","));
    assert!(parse(&wide).is_err());
    assert!(parse("a=%ff").is_err());
}

proptest! {
    #[test]
    fn any_query_is_taken_or_refused(raw in "[ -~]{0,80}") {
        let _ = parse(&raw);
    }

    #[test]
    fn any_filter_value_is_taken_or_refused(
        name in "limit|marker|sort|sort_key|sort_dir|name|created_at|size_min|visibility|tag|[a-z_]{1,8}",
        value in "(in:|gt:|eq:)?[\",:\\\\a-z0-9 -]{0,16}|\\PC{0,8}",
    ) {
        let raw = form_urlencoded::Serializer::new(String::new()).append_pair(&name, &value).finish();
        let _ = parse(&raw);
    }

    /// A link leads to the same query.
    #[test]
    fn links_come_back(pairs in prop::collection::vec(("tag|[b-d]{1,4}", "\\PC{0,8}"), 0..6)) {
        let raw = form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
        let listed = parse(&raw).unwrap();
        let link = listed.next("m");
        let again = parse(link.split_once('?').unwrap().1).unwrap();
        prop_assert_eq!(again.query, listed.query);
        prop_assert_eq!(again.marker.as_deref(), Some("m"));
    }

    #[test]
    fn quoted_words_come_back(list in prop::collection::vec("[a-z,\" ]{0,6}", 1..5)) {
        let quoted: Vec<_> = list.iter().map(|w| format!("\"{}\"", w.replace('"', "\\\""))).collect();
        prop_assert_eq!(words::split(&quoted.join(",")).unwrap(), list);
    }
}
