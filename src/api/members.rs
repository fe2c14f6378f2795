//! Memberships.

use axum::{body::Body, extract::State, http::StatusCode};
use serde_json::Value as Json;

use super::{
    attributes::{self, TEXT_MAX},
    error::Answer,
    extract::{self, Asked, NoBody, Segments},
    images::json_response,
    router::Api,
    wire::{MemberBody, MembersBody},
};
use crate::{
    config,
    error::{Error, Result},
    image::{self, MemberStatus},
};

pub(super) async fn list(State(api): State<Api>, Asked(ctx): Asked, Segments([id]): Segments<1>, _: NoBody) -> Answer {
    let members = image::members(&api.app, &ctx, &id).await?;
    let members = members.iter().map(|m| MemberBody::new(&id, m)).collect();
    json_response(StatusCode::OK, &MembersBody { members, schema: "/v2/schemas/members" })
}

pub(super) async fn show(
    State(api): State<Api>,
    Asked(ctx): Asked,
    Segments([id, member]): Segments<2>,
    _: NoBody,
) -> Answer {
    let member = image::member(&api.app, &ctx, &id, &member).await?;
    json_response(StatusCode::OK, &MemberBody::new(&id, &member))
}

/// Answers 200, not 201: clients know it so.
pub(super) async fn add(State(api): State<Api>, Asked(ctx): Asked, Segments([id]): Segments<1>, body: Body) -> Answer {
    let body = extract::json(body, &api.config.http).await?;
    let member = image::add_member(&api.app, &ctx, &id, project(&body, &api.config.images)?).await?;
    json_response(StatusCode::OK, &MemberBody::new(&id, &member))
}

pub(super) async fn set(
    State(api): State<Api>,
    Asked(ctx): Asked,
    Segments([id, member]): Segments<2>,
    body: Body,
) -> Answer {
    let body = extract::json(body, &api.config.http).await?;
    let member = image::set_member(&api.app, &ctx, &id, &member, status(&body)?).await?;
    json_response(StatusCode::OK, &MemberBody::new(&id, &member))
}

pub(super) async fn remove(
    State(api): State<Api>,
    Asked(ctx): Asked,
    Segments([id, member]): Segments<2>,
    _: NoBody,
) -> Answer<StatusCode> {
    image::remove_member(&api.app, &ctx, &id, &member).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn project<'b>(body: &'b Json, rules: &config::Images) -> Result<&'b str> {
    let form = || Error::invalid("Expected a member in the form: {\"member\": \"image_id\"}");
    let body = body.as_object().ok_or_else(form)?;
    match body.get("member") {
        None => Err(Error::invalid("Member to be added not specified")),
        Some(Json::Null) => Err(Error::invalid("Member can't be empty")),
        Some(Json::String(project)) if project.is_empty() => Err(Error::invalid("Member can't be empty")),
        Some(Json::String(project)) if project.chars().count() > TEXT_MAX => {
            Err(Error::invalid(format!("The id of a member has at most {TEXT_MAX} characters.")))
        }
        Some(Json::String(project)) => attributes::check_characters(project, rules).map(|()| project.as_str()),
        Some(_) => Err(form()),
    }
}

fn status(body: &Json) -> Result<MemberStatus> {
    let body =
        body.as_object().ok_or_else(|| Error::invalid("Expected a status in the form: {\"status\": \"status\"}"))?;
    let word = body.get("status").ok_or_else(|| Error::invalid("Status not specified"))?;
    let text = "Incorrect request: Status must be \"pending\", \"accepted\" or \"rejected\".";
    word.as_str().and_then(|w| w.parse().ok()).ok_or_else(|| Error::invalid(text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn bodies_of_members() {
        let rules = config::Images::default();
        assert_eq!(project(&json!({"member": "p"}), &rules).unwrap(), "p");
        let long = "x".repeat(256);
        for bad in [
            json!([]),
            json!({}),
            json!({"member": ""}),
            json!({"member": null}),
            json!({"member": 1}),
            json!({"member": long}),
        ] {
            assert_eq!(project(&bad, &rules).unwrap_err().kind(), crate::Kind::Invalid, "{bad}");
        }
        assert_eq!(status(&json!({"status": "accepted"})).unwrap(), MemberStatus::Accepted);
        for bad in [json!([]), json!({}), json!({"status": ""}), json!({"status": null}), json!({"status": "x"})] {
            assert_eq!(status(&bad).unwrap_err().kind(), crate::Kind::Invalid, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_member_is_taken_or_refused(text in "\\PC{0,300}") {
            let body = json!({"member": text.clone()});
            let taken = project(&body, &config::Images::default()).is_ok();
            prop_assert_eq!(taken, !text.is_empty() && text.chars().count() <= 255);
        }
    }
}
