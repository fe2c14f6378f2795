//! Rules by name: Glance's own, and an operator's file over them.

use std::collections::{BTreeMap, BTreeSet};

use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};

use super::check::{self, Check};
use crate::rules::Fault;

/// The rules that Glance 33 ships.
const GLANCE: &str = include_str!("glance.yaml");
/// Bytes of a rules file.
const FILE_MAX: usize = 1 << 20;
/// Rules within rules: as deep as anybody can read, and far less than a stack holds.
const DEPTH_MAX: usize = 32;

/// Rules by name.
#[derive(Debug, Clone, Default)]
pub struct Rules(BTreeMap<String, Rule>);

/// One rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// As it is written.
    pub text: String,
    /// What it asks for; the reason when it cannot be read, and then it lets nobody in.
    pub check: Result<Check, String>,
    /// File and line, for a rule of the operator's.
    pub place: Option<(String, usize)>,
}

impl Rules {
    /// The rules that Glance ships.
    ///
    /// # Errors
    /// When they cannot be read, which would be a defect.
    pub fn glance() -> Result<Self, Fault> {
        let mut rules = Self::default();
        rules.read("glance.yaml", GLANCE)?;
        for rule in rules.0.values_mut() {
            rule.place = None;
        }
        Ok(rules)
    }

    /// Puts the rules of a file (YAML or JSON) over those that are there.
    ///
    /// # Errors
    /// When the file is no mapping of names to rules. A single rule that cannot be read is kept as such.
    pub fn read(&mut self, file: &str, text: &str) -> Result<(), Fault> {
        if text.len() > FILE_MAX {
            return Err(Fault::new(file, None, format!("larger than {FILE_MAX} bytes")));
        }
        let documents = MarkedYaml::load_from_str(text)
            .map_err(|e| Fault::new(file, Some(e.marker().line()), e.info().to_owned()))?;
        let Some(document) = documents.first() else { return Ok(()) };
        let mapping = match &document.data {
            YamlData::Mapping(mapping) => mapping,
            YamlData::Value(Scalar::Null) => return Ok(()),
            _ => {
                return Err(Fault::new(
                    file,
                    Some(document.span.start.line()),
                    "a mapping of names to rules is expected",
                ));
            }
        };
        for (key, value) in mapping {
            let line = key.span.start.line();
            let YamlData::Value(Scalar::String(name)) = &key.data else {
                return Err(Fault::new(file, Some(line), "the name of a rule is expected"));
            };
            let (text, check) = rule(value).map_err(|why| Fault::new(file, Some(line), why))?;
            self.0.insert(name.to_string(), Rule { text, check, place: Some((file.to_owned(), line)) });
        }
        Ok(())
    }

    /// All rules in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Rule)> {
        self.0.iter().map(|(name, rule)| (name.as_str(), rule))
    }

    /// The rule of this name.
    pub fn get(&self, name: &str) -> Option<&Rule> {
        self.0.get(name)
    }

    /// What the rule of this name asks for; nothing can be asked of one that cannot be read.
    pub fn check(&self, name: &str) -> Option<&Check> {
        self.0.get(name).map(|rule| rule.check.as_ref().unwrap_or(&Check::Never))
    }

    /// The rule with every `rule:NAME` in it put in place.
    ///
    /// # Errors
    /// Which name is unknown, refers to itself or cannot be read.
    pub fn resolved(&self, name: &str) -> Result<Check, String> {
        let rule = self.get(name).ok_or_else(|| format!("there is no rule `{name}`"))?;
        self.resolve(rule.check.as_ref().map_err(Clone::clone)?, 0)
    }

    fn resolve(&self, check: &Check, depth: usize) -> Result<Check, String> {
        if depth > DEPTH_MAX {
            return Err(format!("its rules refer to each other more than {DEPTH_MAX} deep, or in a circle"));
        }
        let each = |parts: &[Check]| parts.iter().map(|part| self.resolve(part, depth)).collect::<Result<Vec<_>, _>>();
        Ok(match check {
            Check::Rule(name) => {
                let rule = self.get(name).ok_or_else(|| {
                    format!("`rule:{name}` names no rule; Glance would take the rule `default` in its place")
                })?;
                self.resolve(rule.check.as_ref().map_err(|why| format!("rule `{name}`: {why}"))?, depth + 1)?
            }
            Check::Not(inner) => Check::Not(Box::new(self.resolve(inner, depth)?)),
            Check::All(parts) => Check::All(each(parts)?),
            Check::Any(parts) => Check::Any(each(parts)?),
            other => other.clone(),
        })
    }

    /// Names that some rule refers to.
    pub fn referred(&self) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        for rule in self.0.values() {
            if let Ok(check) = &rule.check {
                refers(check, &mut names);
            }
        }
        names
    }
}

fn refers<'c>(check: &'c Check, names: &mut BTreeSet<&'c str>) {
    match check {
        Check::Rule(name) => {
            names.insert(name);
        }
        Check::Not(inner) => refers(inner, names),
        Check::All(parts) | Check::Any(parts) => parts.iter().for_each(|part| refers(part, names)),
        _ => {}
    }
}

/// Text and meaning of one value.
fn rule(value: &MarkedYaml<'_>) -> Result<(String, Result<Check, String>), String> {
    match &value.data {
        YamlData::Value(Scalar::String(text)) => Ok((text.to_string(), check::parse(text))),
        YamlData::Value(Scalar::Null) => Ok((String::new(), Ok(Check::Always))),
        YamlData::Sequence(outer) => {
            let lists: Vec<Vec<String>> = outer.iter().map(inner).collect::<Result<_, _>>()?;
            Ok((format!("{lists:?}"), check::parse_lists(&lists)))
        }
        _ => Err("a rule is a text or a list of lists".into()),
    }
}

fn inner(value: &MarkedYaml<'_>) -> Result<Vec<String>, String> {
    let word = |value: &MarkedYaml<'_>| match &value.data {
        YamlData::Value(Scalar::String(text)) => Ok(text.to_string()),
        _ => Err("a list of lists holds texts".to_owned()),
    };
    match &value.data {
        YamlData::Sequence(words) => words.iter().map(word).collect(),
        _ => Ok(vec![word(value)?]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn glances_rules_are_all_there_and_readable() {
        let rules = Rules::glance().unwrap();
        assert_eq!(rules.iter().count(), 67);
        for (name, _) in rules.iter() {
            assert!(rules.resolved(name).is_ok(), "{name}: {:?}", rules.resolved(name));
        }
    }

    #[test]
    fn an_operators_file_lies_over_them() {
        let mut rules = Rules::glance().unwrap();
        rules
            .read("policy.yaml", "# mine\n\n\"get_image\": \"role:auditor\"\nmine: [[\"role:a\", \"role:b\"], \"@\"]\n")
            .unwrap();
        let rule = rules.get("get_image").unwrap();
        assert_eq!(rule.place, Some(("policy.yaml".into(), 3)));
        assert_eq!(rule.check, Ok(Check::Role("auditor".into())));
        assert!(matches!(rules.get("mine").unwrap().check, Ok(Check::Any(_))));
        rules.read("policy.json", r#"{"get_image": [["role:x"]], "mine": ""}"#).unwrap();
        assert_eq!(rules.check("get_image"), Some(&Check::Role("x".into())));
        assert_eq!(rules.check("mine"), Some(&Check::Always));
        rules.read("empty.yaml", "# nothing\n").unwrap();
    }

    #[test]
    fn what_is_no_rules_file_is_refused_with_its_line() {
        for (text, line) in [("- a\n", 1), ("a: b\nc: {d: e}\n", 2), ("a: 'b\n", 0), ("a: 3\n", 1)] {
            let fault = Rules::default().read("policy.yaml", text).unwrap_err();
            assert!(line == 0 || fault.line == Some(line), "{fault}");
        }
        let mut rules = Rules::default();
        rules.read("policy.yaml", "a: rule:b\nb: rule:a\nc: rule:nobody\nd: 'role:x role:y'\ne: rule:d").unwrap();
        for (name, part) in
            [("a", "circle"), ("c", "`rule:nobody` names no rule"), ("d", "not expected"), ("e", "rule `d`")]
        {
            assert!(rules.resolved(name).unwrap_err().contains(part), "{name}: {:?}", rules.resolved(name));
        }
    }
}
