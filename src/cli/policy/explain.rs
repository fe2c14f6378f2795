//! `fanlight policy explain`: of an invented question, or of one that the running gateway was asked.

use serde_json::{Map, Value};

use super::{Exit, Output, args::Explain, live, load, read_file, report};
use crate::{
    authz::{self, Action, Explanation, ImageFacts, Outcome, Policies, Principal, Question, Ruling, StoreFacts, cases},
    error::{Error, Result},
    rules::Fault,
};

/// Explains what the arguments ask for.
///
/// # Errors
/// When standard output is closed.
pub(super) async fn run(args: &Explain) -> Result<Exit> {
    if let Some(id) = &args.decision {
        return live::decision(args, id).await;
    }
    if let Some(image) = &args.image {
        return live::question(args, image).await;
    }
    let out = Output::new(args.output.json);
    let explained = load(&args.source).and_then(|(_, policies)| {
        let questions = questions(args, &policies)?;
        let fault = |e: Error| vec![Fault::new("question", None, e.message())];
        questions.iter().map(|q| authz::explain(&policies, q).map_err(fault)).collect::<Result<Vec<_>, _>>()
    });
    match explained {
        Ok(all) => {
            for explanation in &all {
                show(&out, explanation)?;
            }
            Ok(Exit::Done)
        }
        Err(faults) => report(&out, &faults),
    }
}

fn questions(args: &Explain, policies: &Policies) -> Result<Vec<Question>, Vec<Fault>> {
    if let Some(path) = &args.case {
        let cases = cases::read(&[read_file(path).map_err(|fault| vec![fault])?])?;
        return Ok(cases.into_iter().map(|case| case.question).collect());
    }
    let action = args.action.ok_or_else(|| vec![Fault::new("--action", None, "say what is asked for")])?;
    invented(args, action, policies.asked_of_images(action))
        .map(|question| vec![question])
        .map_err(|text| vec![Fault::new("--with", None, text)])
}

fn invented(args: &Explain, action: Action, of_image: bool) -> Result<Question, String> {
    let belongs = !args.with.is_empty() || args.member.is_some() || args.property.is_some();
    Ok(Question {
        principal: principal(args),
        image: if of_image || belongs { Some(facts(&args.with)?) } else { None },
        member: args.member.clone(),
        property: args.property.clone(),
        store: args.store.clone().map(|id| StoreFacts { id, ..StoreFacts::default() }),
        ..Question::new(action)
    })
}

pub(super) fn principal(args: &Explain) -> Principal {
    Principal {
        user: args.user.clone(),
        project: args.project.clone(),
        domain: args.domain.clone(),
        user_domain: args.domain.clone(),
        roles: args.roles.iter().cloned().collect(),
        service_roles: args.service_roles.iter().cloned().collect(),
    }
}

/// An image from `key=value`; the words are those of a case file.
fn facts(with: &[(String, String)]) -> Result<ImageFacts, String> {
    let (mut all, mut properties, mut members) = (Map::new(), Map::new(), Map::new());
    for (key, text) in with {
        let value = match key.as_str() {
            "protected" | "os_hidden" | "size" => {
                serde_json::from_str(text).map_err(|e| format!("`{key}={text}`: {e}"))?
            }
            "tags" => text.split(',').collect(),
            _ => Value::from(text.as_str()),
        };
        match key.split_once('.') {
            Some(("property", name)) => properties.insert(name.to_owned(), value),
            Some(("member", project)) => members.insert(project.to_owned(), value),
            _ => all.insert(key.clone(), value),
        };
    }
    all.insert("properties".into(), properties.into());
    all.insert("members".into(), members.into());
    serde_json::from_value(all.into()).map_err(|e| e.to_string())
}

/// For people: the answer, the reason, and each policy with what holds of it.
pub(super) fn show(out: &Output, why: &Explanation) -> Result<()> {
    if out.is_json() {
        return out.json(why);
    }
    let answer = match why.outcome {
        Outcome::Permit => out.good("permitted"),
        Outcome::Deny => out.bad("denied"),
        Outcome::Fault => out.bad("no answer"),
    };
    out.line(format!("{answer}: {}", why.reason))?;
    for ruling in why.deciding.iter().chain(&why.nearest) {
        show_ruling(out, ruling)?;
    }
    Ok(())
}

fn show_ruling(out: &Output, ruling: &Ruling) -> Result<()> {
    out.line(format!("\n{} ({}:{})\n{}", ruling.id, ruling.file, ruling.line, ruling.text))?;
    if ruling.clauses.is_empty() {
        return Ok(());
    }
    let rows = ruling.clauses.iter().map(|clause| {
        let holds = match clause.holds {
            Some(true) => out.good("holds"),
            Some(false) => out.bad("false"),
            None => out.bad("no value"),
        };
        let values: Vec<_> = clause.values.iter().map(|(what, value)| format!("{what} = {value}")).collect();
        vec![holds, clause.text.clone(), values.join("\n")]
    });
    out.table(&["", "clause", "values"], rows)
}
