//! The question that a plug-in is asked, and its answer with names in place of numbers.

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::{Candidate, Request, Verdict};
use crate::{
    context::Context,
    wasm::{CallError, Plugin, types},
};

/// One call for all candidates. A candidate without a verdict is not accepted.
pub(super) fn ask(
    plugin: &Plugin,
    ctx: &Context,
    request: &Request<'_>,
    open: &[&Candidate],
) -> Result<Vec<Verdict>, CallError> {
    let question = types::Request {
        image: image(ctx, request, plugin.properties()),
        stores: open.iter().map(|c| store(c)).collect(),
        now_ms: u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0),
        seed: seed(&ctx.request_id),
        operation: "upload".into(),
    };
    let mut answers: Vec<Option<types::Verdict>> = vec![None; open.len()];
    for verdict in plugin.rank(&question)? {
        if let Some(slot) = answers.get_mut(verdict.store as usize) {
            *slot = Some(verdict);
        }
    }
    let named = open.iter().zip(answers).map(|(c, answer)| match answer {
        Some(v) => Verdict {
            store: c.facts.id.clone(),
            accepted: v.accepted,
            score: v.score,
            code: v.code,
            text: v.text,
            from_plugin: true,
        },
        None => {
            let silent = Verdict::rejected(&c.facts.id, "no-verdict", "the plug-in does not mention it");
            Verdict { from_plugin: true, ..silent }
        }
    });
    Ok(named.collect())
}

fn image(ctx: &Context, request: &Request<'_>, wanted: &[String]) -> types::Image {
    let image = request.image;
    let shown = |name: &String| image.properties.get(name).map(|value| (name.clone(), value.clone()));
    let own = image.owner.is_some() && image.owner == ctx.caller.project_id;
    types::Image {
        id: image.id.clone(),
        project: image.owner.clone(),
        size: request.size,
        disk_format: image.disk_format.clone(),
        container_format: image.container_format.clone(),
        visibility: image.visibility.as_str().into(),
        tags: image.tags.iter().cloned().collect(),
        properties: wanted.iter().filter_map(shown).collect(),
        domain: ctx.caller.project_domain_id.clone().filter(|_| own),
    }
}

fn store(c: &Candidate) -> types::Store {
    types::Store {
        id: c.facts.id.clone(),
        kind: c.facts.kind.clone(),
        labels: c.facts.labels.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
        weight: c.weight,
        total: c.total,
        free: c.free,
        in_flight: c.in_flight,
        latency_us: c.latency_us,
    }
}

/// The same number everywhere for one request id.
fn seed(request_id: &str) -> u64 {
    Sha256::digest(request_id).iter().take(8).fold(0, |seed, byte| seed << 8 | u64::from(*byte))
}
