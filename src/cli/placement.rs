//! `fanlight placement explain`: the whole table of a placement, for an invented image, without doing anything.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{Exit, Explain, Output, Placement, human_size, output::complain};
use crate::{
    config::{Config, process_env},
    context::{Caller, Context},
    error::{Kind, Result},
    image::NewImage,
    placement::{self, Candidate, Plan, Request},
    rules::Rulebook,
    store::Stores,
};

/// Ranks the stores as an upload would.
///
/// # Errors
/// When the rules or the stores cannot be opened, or standard output is closed.
pub async fn run(command: &Placement) -> Result<Exit> {
    let Placement::Explain(args) = command;
    let config = match Config::load(args.config.config.as_deref(), process_env) {
        Ok(config) => config,
        Err(faults) => {
            complain(&faults.to_string());
            return Ok(Exit::Configuration);
        }
    };
    let rules = Rulebook::open(&config.rules, &config.data_dir)?;
    let stores = Stores::open(&config.stores).await?;
    let ctx = Context {
        request_id: "req-explain".into(),
        caller: caller(args),
        rules: rules.current(),
        shadow: None,
        journal: std::sync::Arc::default(),
    };
    let new = NewImage { properties: args.properties.iter().cloned().collect(), ..NewImage::default() };
    let image = new.into_image(ctx.project(), Timestamp::now());
    let request = Request { image: &image, size: args.size, explicit: args.store.as_deref() };
    let candidates: Vec<_> = stores.iter().map(|s| Candidate::of(&s)).collect();
    let out = Output::new(args.output.json);
    match placement::plan(&ctx, &request, &candidates) {
        Ok(plan) => show(&out, &plan, &candidates).map(|()| Exit::Done),
        Err(error) if error.kind() == Kind::Internal => Err(error),
        Err(error) => {
            complain(&format!("no store takes it: {error}"));
            Ok(Exit::Failed)
        }
    }
}

fn caller(args: &Explain) -> Caller {
    let mut roles: BTreeSet<String> = args.roles.iter().map(|r| r.to_lowercase()).collect();
    if roles.contains("member") {
        roles.insert("reader".into());
    }
    Caller { user_id: "explain".into(), project_id: Some(args.project.clone()), roles, ..Caller::default() }
}

fn show(out: &Output, plan: &Plan, candidates: &[Candidate]) -> Result<()> {
    if out.is_json() {
        return out.json(plan);
    }
    let rows = plan.verdicts.iter().map(|v| {
        let free = candidates.iter().find(|c| c.facts.id == v.store).map_or_else(String::new, |c| human_size(c.free));
        let place = plan.ranked.iter().position(|r| *r == v.store).map_or("-".to_owned(), |n| (n + 1).to_string());
        vec![place, v.store.clone(), v.score.to_string(), free, v.code.clone(), v.text.clone()]
    });
    out.table(&["place", "store", "score", "free", "code", "reason"], rows)?;
    out.line(format!("decided by {}", plan.decided_by))?;
    match &plan.fallback {
        Some(reason) => out.line(out.bad(&format!("the built-in ranking stood in: {reason}"))),
        None => Ok(()),
    }
}
