//! What an operator should know of a rule although it is converted.

use super::{check::Check, credentials::is_unknown, rules::Rules, value::literal};

/// What is worth knowing of one rule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remarks {
    /// Where the policy may permit more than the rule.
    pub looser: Vec<String>,
    /// The rest.
    pub notes: Vec<String>,
}

/// Of the rule with this name.
pub fn remarks(rules: &Rules, name: &str) -> Remarks {
    let mut remarks = Remarks::default();
    if let Ok(check) = rules.resolved(name) {
        remarks.add(&check);
    }
    remarks
}

impl Remarks {
    fn add(&mut self, check: &Check) {
        let (list, text) = match check {
            Check::Not(inner) => return self.add(inner),
            Check::All(parts) | Check::Any(parts) => return parts.iter().for_each(|part| self.add(part)),
            // User's roles are in lower case to Glance too; those of a service are as Keystone writes them.
            Check::Compare { left, right } if left == "service_roles" => (
                &mut self.looser,
                format!("`service_roles:{right}` holds in every spelling of the role; to Glance in this one only"),
            ),
            Check::Compare { left, .. } if literal(left).is_none() && is_unknown(left) => {
                (&mut self.notes, format!("Glance 33 has no credential `{left}`: the check fails, there and here"))
            }
            _ => return,
        };
        if !list.contains(&text) {
            list.push(text);
        }
    }
}
