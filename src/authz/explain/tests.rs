//! Denials whose reason is known beforehand.

use super::*;
use crate::authz::{Action, ImageFacts, Principal};

fn load(text: &str) -> Policies {
    Policies::load(&[("a.cedar".into(), text.as_bytes().to_vec())]).unwrap()
}

fn shipped() -> Policies {
    let files: Vec<_> = Policies::shipped().into_iter().filter(|(name, _)| name.ends_with(".cedar")).collect();
    Policies::load(&files).unwrap()
}

fn question(action: Action) -> Question {
    let principal = Principal {
        user: "bob".into(),
        project: Some("green".into()),
        roles: ["member".into(), "reader".into()].into(),
        ..Principal::default()
    };
    let image = ImageFacts {
        owner: Some("blue".into()),
        properties: [("os_distro".into(), "debian".into())].into(),
        ..ImageFacts::default()
    };
    Question { principal, image: Some(image), ..Question::new(action) }
}

#[test]
fn the_nearest_permit_and_its_false_clause_are_named_with_values() {
    let why = explain(&shipped(), &question(Action::DeleteImage)).unwrap();
    assert_eq!((why.outcome, why.deciding.len()), (Outcome::Deny, 0));
    let near = why.nearest.unwrap();
    assert_eq!(near.id, "images.write.owner");
    let failing: Vec<_> = near.failing().map(|c| c.text.as_str()).collect();
    assert_eq!(failing, ["resource.owner == principal.project"]);
    for part in ["images.cedar:", r#"`resource.owner` is `Project::"blue"`"#, r#"is `Project::"green"`"#] {
        assert!(why.reason.contains(part), "{part}: {}", why.reason);
    }
}

#[test]
fn a_forbid_is_named_before_any_permit() {
    let mut question = question(Action::DownloadImage);
    let image = question.image.as_mut().unwrap();
    (image.status, image.owner) = (crate::image::Status::Deactivated, Some("green".into()));
    let why = explain(&shipped(), &question).unwrap();
    assert_eq!(why.deciding[0].id, "images.download.deactivated");
    assert!(why.reason.starts_with("forbidden by `images.download.deactivated` (images.cedar:"), "{}", why.reason);
    assert!(why.deciding[0].failing().next().is_none(), "all clauses of a matching policy hold");
    assert!(why.nearest.is_none());
}

#[test]
fn a_permit_names_every_policy_that_permits() {
    let mut question = question(Action::GetImage);
    question.principal.roles.insert("admin".into());
    question.principal.project = Some("blue".into());
    let answer = answer(&shipped(), &question).unwrap();
    assert_eq!(answer.policies, ["admin", "images.read.owner"]);
}

#[test]
fn scope_tags_and_absent_attributes_are_clauses_too() {
    let policies = load(
        r#"@id("a") permit (principal in Project::"gold", action == Action::"get_image", resource)
           when { resource.hasTag("licence") && resource.getTag("licence") == "x" && resource has size }
           unless { resource.protected || resource.os_hidden };"#,
    );
    let near = explain(&policies, &question(Action::GetImage)).unwrap().nearest.unwrap();
    let seen: Vec<_> = near.clauses.iter().map(|c| (c.text.as_str(), c.holds)).collect();
    assert_eq!(
        seen,
        [
            (r#"principal in Project::"gold""#, Some(false)),
            (r#"resource.hasTag("licence")"#, Some(false)),
            (r#"resource.getTag("licence") == "x""#, None),
            ("resource has size", Some(false)),
            ("unless resource.protected", Some(true)),
            ("unless resource.os_hidden", Some(true)),
        ]
    );
    assert_eq!(near.clauses[2].values, [(r#"resource.getTag("licence")"#.to_owned(), "absent".to_owned())]);
}

#[test]
fn an_action_that_nobody_may_do_says_so() {
    let policies = load(r#"@id("a") permit (principal, action == Action::"get_image", resource);"#);
    let why = explain(&policies, &question(Action::DeleteImage)).unwrap();
    assert_eq!(why.reason, "no policy permits `delete_image` on `Image` to anybody");
}

#[test]
fn a_policy_that_errors_is_named_as_the_fault() {
    let policies = load(
        r#"@id("sum") permit (principal, action == Action::"get_image", resource)
           when { resource has size && resource.size * 4 > 9 };"#,
    );
    let mut question = question(Action::GetImage);
    question.image.as_mut().unwrap().size = Some(u64::MAX >> 1);
    let why = explain(&policies, &question).unwrap();
    assert_eq!((why.outcome, why.deciding[0].id.as_str()), (Outcome::Fault, "sum"));
    assert!(why.reason.starts_with("`sum` (a.cedar:1) cannot be evaluated: "), "{}", why.reason);
    assert!(why.reason.contains("overflow"), "{}", why.reason);
}

#[test]
fn questions_that_cannot_be_asked_are_invalid() {
    let mut wrong = question(Action::GetImage);
    wrong.member = Some("nobody".into());
    assert!(explain(&shipped(), &wrong).unwrap_err().message().contains("has no member `nobody`"));
    let property = Question { property: None, ..question(Action::ReadProperty) };
    assert!(explain(&shipped(), &property).unwrap_err().message().contains("is not asked of `Image`"));
    let service = Question { image: None, ..question(Action::GetImage) };
    assert!(explain(&shipped(), &service).unwrap_err().message().contains("is not asked of `Service`"));
}
