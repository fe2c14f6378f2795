//! One policy taken apart: each part of its scope and conditions, evaluated by Cedar on its own.

use std::sync::Arc;

use cedar_policy::{
    EvalResult, Expression, Policy, eval_expression,
    pst::{self, BinaryOp, Expr},
};
use serde::{Deserialize, Serialize};

use super::super::decide::Posed;
use crate::error::{Error, Result};

/// Values named for one clause at most.
const VALUES_MAX: usize = 8;
/// Characters of one value at most.
const VALUE_MAX: usize = 200;

/// A part of a policy that has to hold for the policy to apply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clause {
    /// Cedar text; a part of an `unless` begins with that word.
    pub text: String,
    /// Whether it holds. `None` when it has no value here, as an attribute that is absent has none.
    pub holds: Option<bool>,
    /// What it looks at, and the value that was found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<(String, String)>,
}

/// The clauses of `policy`, in the order of its text. The action is not among them: a policy for another action was
/// never looked at.
pub(super) fn clauses(policy: &Policy, posed: &Posed) -> Result<Vec<Clause>> {
    let parsed = policy.to_pst().map_err(|e| Error::internal(e.to_string()))?;
    let body = parsed.body();
    // A constraint is written as what follows the variable; without one, nothing follows.
    let scope = [("principal", body.principal.to_string()), ("resource", body.resource.to_string())];
    let mut all = Vec::new();
    for (variable, constraint) in scope.into_iter().filter(|(_, constraint)| !constraint.is_empty()) {
        let text = format!("{variable} {constraint}");
        let values = value_of(variable, posed).into_iter().collect();
        all.push(Clause { holds: evaluate(&text, posed), text, values });
    }
    for clause in body.clauses() {
        let (word, expr, op, wanted) = match clause {
            pst::Clause::When(expr) => ("", expr, BinaryOp::And, true),
            pst::Clause::Unless(expr) => ("unless ", expr, BinaryOp::Or, false),
        };
        for part in split(expr, op) {
            let text = part.to_string();
            let holds = evaluate(&text, posed).map(|value| value == wanted);
            all.push(Clause { text: format!("{word}{text}"), holds, values: values(part, posed) });
        }
    }
    Ok(all)
}

/// The operands of a chain of `&&` (or `||`).
fn split(expr: &Arc<Expr>, chain: BinaryOp) -> Vec<&Arc<Expr>> {
    match &**expr {
        Expr::BinaryOp { op, left, right } if *op == chain => {
            let mut parts = split(left, chain);
            parts.extend(split(right, chain));
            parts
        }
        _ => vec![expr],
    }
}

fn evaluate(text: &str, posed: &Posed) -> Option<bool> {
    match result(text, posed)? {
        EvalResult::Bool(value) => Some(value),
        _ => None,
    }
}

fn result(text: &str, posed: &Posed) -> Option<EvalResult> {
    let expression: Expression = text.parse().ok()?;
    eval_expression(&posed.request, &posed.entities, &expression).ok()
}

/// The attributes and tags that a clause looks at.
fn values(expr: &Arc<Expr>, posed: &Posed) -> Vec<(String, String)> {
    let mut looked_at = Vec::new();
    collect(expr, &mut looked_at);
    let mut seen = std::collections::BTreeSet::new();
    looked_at.retain(|text| seen.insert(text.clone()));
    looked_at.into_iter().take(VALUES_MAX).filter_map(|text| value_of(&text, posed)).collect()
}

fn value_of(text: &str, posed: &Posed) -> Option<(String, String)> {
    let value = result(text, posed).map_or_else(|| "absent".to_owned(), |value| value.to_string());
    let short = match value.char_indices().nth(VALUE_MAX) {
        Some((end, _)) => format!("{}…", value.get(..end)?),
        None => value,
    };
    Some((text.to_owned(), short))
}

fn collect(expr: &Arc<Expr>, found: &mut Vec<String>) {
    match &**expr {
        Expr::GetAttr { .. } | Expr::BinaryOp { op: BinaryOp::GetTag, .. } => found.push(expr.to_string()),
        Expr::BinaryOp { op: BinaryOp::Eq | BinaryOp::NotEq | BinaryOp::In, left, right } => {
            for side in [left, right] {
                match &**side {
                    Expr::Var(_) => found.push(side.to_string()),
                    _ => collect(side, found),
                }
            }
        }
        Expr::BinaryOp { left, right, .. } => {
            collect(left, found);
            collect(right, found);
        }
        Expr::UnaryOp { expr, .. } | Expr::HasAttr { expr, .. } | Expr::Like { expr, .. } => collect(expr, found),
        Expr::Is { expr, in_expr, .. } => {
            collect(expr, found);
            if let Some(parent) = in_expr {
                collect(parent, found);
            }
        }
        Expr::IfThenElse { cond, then_expr, else_expr } => {
            for part in [cond, then_expr, else_expr] {
                collect(part, found);
            }
        }
        Expr::Set(parts) => parts.iter().for_each(|part| collect(part, found)),
        Expr::Record(parts) => parts.values().for_each(|part| collect(part, found)),
        _ => {}
    }
}
