//! Why an answer was given: routes on the operator's listener. They show what tenants own, so unlike its other routes
//! they ask who is there, and the gate whether that caller may know.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Json, Router,
    body::Body,
    extract::{ConnectInfo, Path, State},
    http::{HeaderMap, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::json;

use super::{
    error::{Answer, Failure, Form, render},
    extract, request_id,
};
use crate::{
    app::App,
    authz::{self, Action, Explanation, ImageFacts, Outcome, Principal, Question, Recorded, Resource},
    context::Context,
    error::{Error, Result},
};

/// Requests that a recording holds at most.
const RECORDING_MAX: usize = 10_000;

pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/explain", post(question))
        .route("/decisions", get(recording))
        .route("/decisions/{id}", get(decision))
        .layer(axum::middleware::map_response(|response: Response| async { render(response, Form::Json) }))
}

/// A question about an image and a store of this gateway.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Live {
    #[serde(default)]
    principal: Principal,
    action: Action,
    image: Option<String>,
    member: Option<String>,
    property: Option<String>,
    store: Option<String>,
}

/// Explains what the rules in force would answer.
async fn question(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Body,
) -> Answer<Json<Explanation>> {
    let ctx = admit(&app, &headers, peer).await?;
    let wish = extract::json(body, &app.config.http).await?;
    let live: Live = serde_json::from_value(wish).map_err(|e| Error::invalid(e.to_string()))?;
    let question = live.resolve(&app).await?;
    Ok(Json(authz::explain(&ctx.rules.policies, &question)?))
}

/// Explains the refusals under the id of a decision or of a request.
async fn decision(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Answer {
    let ctx = admit(&app, &headers, peer).await?;
    let found = app.journal.find(&id);
    if found.is_empty() {
        let text = format!("No refusal is known under `{id}`: it was no refusal, or it is too long ago.");
        return Err(Error::not_found(text).into());
    }
    let explained: Vec<_> = found.iter().map(|recorded| explain(&ctx, recorded)).collect::<Result<_>>()?;
    Ok(Json(explained).into_response())
}

/// The last refusals as questions, a line each, to be asked again of other policies.
async fn recording(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Answer {
    admit(&app, &headers, peer).await?;
    let mut lines = String::new();
    for question in app.journal.last(RECORDING_MAX).into_iter().filter_map(|r| r.question) {
        lines.push_str(&serde_json::to_string(&question).map_err(Error::internal)?);
        lines.push('\n');
    }
    Ok(([(CONTENT_TYPE, "application/jsonl")], lines).into_response())
}

async fn admit(app: &App, headers: &HeaderMap, peer: SocketAddr) -> Result<Context, Failure> {
    let caller = app.identity.authenticate(headers, peer.ip()).await?;
    let ctx = Context {
        request_id: request_id::fresh(),
        caller,
        rules: app.rules.current(),
        shadow: None,
        journal: app.journal.clone(),
    };
    authz::check(&ctx, Action::ExplainDecision, Resource::Service)?;
    Ok(ctx)
}

/// Reason in one line, and the whole explanation where the facts are still known. The rules may have changed since:
/// what decided then is in `recorded`, and the explanation is by the rules in force.
fn explain(ctx: &Context, recorded: &Recorded) -> Result<serde_json::Value> {
    let explanation = match &recorded.question {
        Some(question) => Some(authz::explain(&ctx.rules.policies, question)?),
        None => None,
    };
    let reason = match (&recorded.refusal, &explanation) {
        (Some(refusal), _) => format!("refused by the service itself, by no policy: {refusal}"),
        (None, Some(why)) if ctx.rules.generation == recorded.generation => why.reason.clone(),
        (None, Some(why)) => format!(
            "{}; the rules have changed since, generation {} answers {}: {}",
            recorded.verdict(),
            ctx.rules.generation,
            why.outcome,
            why.reason
        ),
        (None, None) => format!("{}; its facts were too large to keep", recorded.verdict()),
    };
    let hidden = explanation.as_ref().and_then(|why| hidden(ctx, why));
    Ok(json!({"reason": reason, "hidden": hidden, "recorded": recorded, "explanation": explanation}))
}

/// Why an image was said not to be there rather than refused: its caller may not see it.
fn hidden(ctx: &Context, why: &Explanation) -> Option<String> {
    if why.outcome != Outcome::Deny {
        return None;
    }
    let image = why.question.image.clone().filter(|_| why.question.store.is_none())?;
    let principal = why.question.principal.clone();
    let look = Question { principal, image: Some(image), ..Question::new(Action::GetImage) };
    let seen = authz::explain(&ctx.rules.policies, &look).ok()?;
    (seen.outcome == Outcome::Deny).then_some(seen.reason)
}

impl Live {
    async fn resolve(self, app: &App) -> Result<Question> {
        let image = match &self.image {
            Some(id) => {
                let unknown = || Error::not_found(format!("No image found with ID {id}"));
                Some(ImageFacts::from(&app.db.image(id).await?.ok_or_else(unknown)?))
            }
            None => None,
        };
        let store = match &self.store {
            Some(id) => {
                let unknown = || Error::not_found(format!("Store {id} is not configured."));
                Some(app.stores.get(id).ok_or_else(unknown)?.facts())
            }
            None => None,
        };
        let Self { principal, action, member, property, .. } = self;
        Ok(Question { principal, image, member, property, store, ..Question::new(action) })
    }
}
