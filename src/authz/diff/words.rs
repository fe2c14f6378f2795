//! The constants that policies compare with, by what they are compared to: values worth asking about.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use cedar_policy::{
    Policy,
    pst::{self, BinaryOp, Expr, Literal, PatternElem},
};

use super::super::Policies;
use crate::error::{Error, Result};

/// Values of one attribute at most: more would be a list of names, of which a few do.
const VALUES_MAX: usize = 8;

/// What some policies speak of.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// Ids of entities, by type.
    entities: BTreeMap<String, BTreeSet<String>>,
    /// Texts by attribute.
    texts: BTreeMap<String, BTreeSet<String>>,
    /// Numbers by attribute.
    numbers: BTreeMap<String, BTreeSet<i64>>,
    /// Values by tag.
    pub(super) tags: BTreeMap<String, BTreeSet<String>>,
}

/// What an operand stands for.
#[derive(Default)]
struct Operands {
    attributes: Vec<String>,
    tags: Vec<String>,
    texts: Vec<String>,
    numbers: Vec<i64>,
}

impl Words {
    pub(super) fn of(sets: [&Policies; 2]) -> Result<Self> {
        let mut words = Self::default();
        for policy in sets.into_iter().flat_map(Policies::all) {
            words.read(policy)?;
        }
        let names = sets.into_iter().flat_map(|set| set.classes.examples());
        words.texts.entry("name".into()).or_default().extend(names);
        Ok(words)
    }

    /// Ids of a type of entity that are named somewhere.
    pub(super) fn ids(&self, kind: &str) -> Vec<String> {
        self.entities.get(kind).into_iter().flatten().take(VALUES_MAX).cloned().collect()
    }

    /// Texts that an attribute is compared with.
    pub(super) fn texts(&self, attribute: &str) -> Vec<String> {
        self.texts.get(attribute).into_iter().flatten().take(VALUES_MAX).cloned().collect()
    }

    /// Numbers around those that an attribute is compared with.
    pub(super) fn numbers(&self, attribute: &str) -> Vec<u64> {
        let around = |n: &i64| [n.saturating_sub(1), *n, n.saturating_add(1)];
        let all: BTreeSet<i64> = self.numbers.get(attribute).into_iter().flatten().flat_map(around).collect();
        all.into_iter().filter_map(|n| u64::try_from(n).ok()).take(3 * VALUES_MAX).collect()
    }

    fn read(&mut self, policy: &Policy) -> Result<()> {
        for uid in policy.entity_literals() {
            let ids = self.entities.entry(uid.type_name().to_string()).or_default();
            ids.insert(uid.id().unescaped().to_owned());
        }
        let parsed = policy.to_pst().map_err(|e| Error::internal(e.to_string()))?;
        for clause in parsed.body().clauses() {
            let (pst::Clause::When(expr) | pst::Clause::Unless(expr)) = clause;
            self.walk(expr);
        }
        Ok(())
    }

    fn walk(&mut self, expr: &Arc<Expr>) {
        match &**expr {
            Expr::BinaryOp { op: BinaryOp::And | BinaryOp::Or, left, right } => {
                self.walk(left);
                self.walk(right);
            }
            Expr::BinaryOp { left, right, op } => {
                let mut both = Operands::default();
                both.add(left);
                both.add(right);
                if let (BinaryOp::HasTag, Expr::Literal(Literal::String(tag))) = (op, &**right) {
                    both.tags.push(tag.to_string());
                }
                self.note(both);
            }
            Expr::Like { expr, pattern } => {
                let mut both = Operands::default();
                both.add(expr);
                let letter = |p: &PatternElem| match p {
                    PatternElem::Char(c) => *c,
                    PatternElem::Wildcard => 'x',
                };
                both.texts.push(pattern.iter().map(letter).collect());
                self.note(both);
            }
            Expr::UnaryOp { expr, .. } => self.walk(expr),
            Expr::IfThenElse { cond, then_expr, else_expr } => {
                for part in [cond, then_expr, else_expr] {
                    self.walk(part);
                }
            }
            _ => {}
        }
    }

    fn note(&mut self, both: Operands) {
        for attribute in both.attributes {
            self.texts.entry(attribute.clone()).or_default().extend(both.texts.iter().cloned());
            self.numbers.entry(attribute).or_default().extend(&both.numbers);
        }
        for tag in both.tags {
            let values = self.tags.entry(tag).or_default();
            values.extend(both.texts.iter().cloned());
            // A value that nothing compares with is worth a question too.
            values.insert("x".into());
        }
    }
}

impl Operands {
    fn add(&mut self, expr: &Arc<Expr>) {
        match &**expr {
            Expr::GetAttr { attr, .. } => self.attributes.push(attr.to_string()),
            Expr::BinaryOp { op: BinaryOp::GetTag, right, .. } => {
                if let Expr::Literal(Literal::String(tag)) = &**right {
                    self.tags.push(tag.to_string());
                }
            }
            Expr::BinaryOp { left, right, .. } => {
                self.add(left);
                self.add(right);
            }
            Expr::Literal(Literal::String(text)) => self.texts.push(text.to_string()),
            Expr::Literal(Literal::Long(number)) => self.numbers.push(*number),
            Expr::Set(parts) => parts.iter().for_each(|part| self.add(part)),
            _ => {}
        }
    }
}
