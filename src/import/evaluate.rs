//! What oslo.policy answers, written from its behaviour and used for nothing but to hold the conversion against it: it
//! shares no code with the conversion beyond the parser.

use super::{
    check::Check,
    rules::Rules,
    value::{Value, Values, literal},
};

/// Rules within rules: beyond, a rule refers to itself.
const DEPTH_MAX: usize = 32;

/// Whether `check` holds.
pub fn holds(check: &Check, rules: &Rules, credentials: &Values, target: &Values) -> bool {
    let asked = Asked { rules, credentials, target };
    asked.holds(check, 0)
}

struct Asked<'a> {
    rules: &'a Rules,
    credentials: &'a Values,
    target: &'a Values,
}

impl Asked<'_> {
    fn holds(&self, check: &Check, depth: usize) -> bool {
        match check {
            Check::Always => true,
            Check::Never | Check::Remote(_) => false,
            Check::Not(inner) => !self.holds(inner, depth),
            Check::All(parts) => parts.iter().all(|part| self.holds(part, depth)),
            Check::Any(parts) => parts.iter().any(|part| self.holds(part, depth)),
            Check::Role(name) => self.has_role(name),
            // An unknown name means the rule `default`: a typing error lets everybody in where that one is empty.
            Check::Rule(name) => match self.rules.check(name).or_else(|| self.rules.check("default")) {
                Some(check) if depth < DEPTH_MAX => self.holds(check, depth + 1),
                _ => false,
            },
            Check::Compare { left, right } => self.compares(left, right),
        }
    }

    fn has_role(&self, name: &str) -> bool {
        let Some(name) = self.filled(name) else { return false };
        match self.credentials.get("roles") {
            Some(Value::List(roles)) => roles.iter().any(|role| role.to_lowercase() == name.to_lowercase()),
            _ => false,
        }
    }

    fn compares(&self, left: &str, right: &str) -> bool {
        let Some(wanted) = self.filled(right) else { return false };
        if let Some(literal) = literal(left) {
            return literal.text() == Some(wanted);
        }
        // No credential holds others, so that a path such as `a.b` leads nowhere.
        match self.credentials.get(left) {
            Some(Value::List(all)) => all.contains(&wanted),
            Some(value) => value.text() == Some(wanted),
            None => false,
        }
    }

    /// The text with the target's attributes in it; `None` when one is missing.
    fn filled(&self, text: &str) -> Option<String> {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('%') {
            out.push_str(before);
            if let Some(after) = after.strip_prefix('%') {
                out.push('%');
                rest = after;
                continue;
            }
            let (name, after) = after.strip_prefix('(')?.split_once(")s")?;
            out.push_str(&self.target.get(name)?.text()?);
            rest = after;
        }
        out.push_str(rest);
        Some(out)
    }
}
