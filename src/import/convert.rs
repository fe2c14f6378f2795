//! Checks of oslo.policy as conditions of Cedar. What has no counterpart is refused with the reason: a rule that is
//! converted says the same, or less where the original has a hole.

use super::{
    check::Check,
    condition::{Condition, quoted},
    credentials::{self, Credential},
    target::{Attribute, Target},
    template::{self, Template},
    value::literal,
};

/// The condition under which `check`, which refers to no other rule, holds.
pub(super) fn convert(check: &Check, target: Target) -> Result<Condition, String> {
    Converter { target, negated: false }.check(check)
}

/// What holds less often than the original must not stand behind a `not`: it would hold more often there.
#[derive(Clone, Copy)]
struct Converter {
    target: Target,
    negated: bool,
}

impl Converter {
    fn check(self, check: &Check) -> Result<Condition, String> {
        let each = |parts: &[Check]| parts.iter().map(|part| self.check(part)).collect::<Result<Vec<_>, _>>();
        Ok(match check {
            Check::Always => Condition::Constant(true),
            Check::Never => Condition::Constant(false),
            Check::Not(inner) => Self { negated: !self.negated, ..self }.check(inner)?.negated(),
            Check::All(parts) => Condition::all(each(parts)?),
            Check::Any(parts) => Condition::any(each(parts)?),
            Check::Role(name) => self.role(name)?,
            Check::Rule(name) => return Err(format!("`rule:{name}` is not put in place")),
            Check::Remote(url) => return Err(format!("`{url}` asks another service, which policies cannot")),
            Check::Compare { left, right } => self.compare(left, right)?,
        })
    }

    fn role(self, name: &str) -> Result<Condition, String> {
        let attribute = match template::read(name)? {
            Template::Text(name) => return Ok(self.has_role(&name.to_lowercase())),
            Template::Attribute(attribute) => attribute,
            Template::Around { .. } => return Err(format!("the role `{name}` puts an attribute into a text")),
        };
        if self.negated {
            return Err(format!("`not role:{name}`: policies compare what the target names letter by letter"));
        }
        self.contains("roles", &self.target.attribute(&attribute)?, &attribute, |text| text.to_lowercase())
    }

    fn has_role(self, name: &str) -> Condition {
        let own = Condition::atom(format!("principal.roles.contains({})", quoted(name)));
        // Glance adds the roles of a service token to the user's before it asks for a property. Not so here; where that
        // would permit more, they do count.
        if self.target == Target::Property && self.negated {
            let service = Condition::atom(format!("principal.service_roles.contains({})", quoted(name)));
            return Condition::any([own, service]);
        }
        own
    }

    fn compare(self, left: &str, right: &str) -> Result<Condition, String> {
        let template = template::read(right)?;
        let fixed = match literal(left) {
            Some(value) => value.text(),
            None => match credentials::find(left)? {
                // Tokens of a system or a domain get nothing at all here, and those of a project have neither.
                Credential::Absent => Some("None".to_owned()),
                Credential::Unknown => return Ok(Condition::Constant(false)),
                Credential::Known => None,
            },
        };
        match (fixed, template) {
            (Some(text), Template::Text(right)) => Ok(Condition::Constant(text == right)),
            (Some(text), Template::Attribute(name)) => self.with_text(&text, &self.target.attribute(&name)?),
            (Some(text), Template::Around { before, name, after }) => {
                let inner = text.strip_prefix(before.as_str()).and_then(|rest| rest.strip_suffix(after.as_str()));
                let attribute = self.target.attribute(&name)?;
                inner.map_or(Ok(Condition::Constant(false)), |inner| self.with_text(inner, &attribute))
            }
            (None, Template::Text(right)) => Ok(self.caller_is(left, &right)),
            (None, Template::Attribute(name)) => self.with_caller(left, &self.target.attribute(&name)?, &name),
            (None, Template::Around { .. }) => Err(format!("`{right}` puts an attribute into a text")),
        }
    }

    /// A credential beside a text.
    fn caller_is(self, credential: &str, text: &str) -> Condition {
        match credential {
            "project_id" => in_project(text),
            "user_id" => Condition::atom(format!("principal == User::{}", quoted(text))),
            "project_domain_id" => {
                Condition::all([scoped(), Condition::atom(format!("principal.project in Domain::{}", quoted(text)))])
            }
            // Members of lists are compared as they are, and roles reach Glance's rules and ours in lower case.
            _ if text != text.to_lowercase() => Condition::Constant(false),
            "roles" => self.has_role(text),
            _ => Condition::atom(format!("principal.service_roles.contains({})", quoted(text))),
        }
    }

    /// A literal beside an attribute; Python compares their texts.
    fn with_text(self, text: &str, attribute: &Attribute) -> Result<Condition, String> {
        let base = self.target.base();
        let maybe = |field: &str, value: Option<String>| {
            let there = Condition::atom(format!("{base} has {field}"));
            let same = match value {
                Some(value) => Condition::all([there.clone(), Condition::atom(format!("{base}.{field} == {value}"))]),
                None => Condition::Constant(false),
            };
            // What is absent is the text `None` to Python.
            if text == "None" { Condition::any([there.negated(), same]) } else { same }
        };
        Ok(match attribute {
            Attribute::Owner => maybe("owner", Some(format!("Project::{}", quoted(text)))),
            Attribute::Text(field) => Condition::atom(format!("{base}.{field} == {}", quoted(text))),
            Attribute::MaybeText(field) => maybe(field, Some(quoted(text))),
            Attribute::MaybeNumber(field) => maybe(field, number(text)),
            Attribute::Bool(field) => match text {
                "True" => Condition::atom(format!("{base}.{field}")),
                "False" => Condition::atom(format!("{base}.{field}")).negated(),
                _ => Condition::Constant(false),
            },
            Attribute::Id => Condition::atom(format!("{base} == Image::{}", quoted(text))),
            Attribute::Tag(name) => Condition::all([
                Condition::atom(format!("{base}.hasTag({})", quoted(name))),
                Condition::atom(format!("{base}.getTag({}) == {}", quoted(name), quoted(text))),
            ]),
            Attribute::Missing => Condition::Constant(false),
            Attribute::Own if text == "None" => Condition::any([scoped().negated(), in_project(text)]),
            Attribute::Own => in_project(text),
            Attribute::Member if text == "None" => self.is_member().negated(),
            Attribute::Member => Condition::all([in_project(text), self.is_member()]),
        })
    }

    /// A credential beside an attribute. That a caller without a project equals an image without an owner, because both
    /// are the text `None` to Python, is a hole and left out.
    fn with_caller(self, credential: &str, attribute: &Attribute, name: &str) -> Result<Condition, String> {
        if matches!(attribute, Attribute::Missing) {
            return Ok(Condition::Constant(false));
        }
        if matches!(credential, "roles" | "service_roles") {
            return self.contains(credential, attribute, name, str::to_owned);
        }
        if credential != "project_id" {
            return Err(format!("`{credential}` is compared with `%({name})s`, which is of another kind"));
        }
        let base = self.target.base();
        Ok(match attribute {
            Attribute::Own => scoped(),
            Attribute::Owner => Condition::all([
                scoped(),
                Condition::atom(format!("{base} has owner")),
                Condition::atom(format!("{base}.owner == principal.project")),
            ]),
            Attribute::Member => Condition::all([scoped(), self.is_member()]),
            _ => return Err(format!("the caller's project is compared with `%({name})s`, which is no project")),
        })
    }

    /// To Glance, whoever sees a shared image of somebody else is a member of it; `glance.visible` holds who sees one.
    fn is_member(self) -> Condition {
        let base = self.target.base();
        Condition::all([
            Condition::atom(format!("{base}.visibility == \"shared\"")),
            Condition::all([
                scoped(),
                Condition::atom(format!("{base} has owner")),
                Condition::atom(format!("{base}.owner == principal.project")),
            ])
            .negated(),
        ])
    }

    /// That a list of the caller's has the value of an attribute in it; `fold` is done to it first.
    fn contains(
        self,
        list: &str,
        attribute: &Attribute,
        name: &str,
        fold: impl Fn(&str) -> String,
    ) -> Result<Condition, String> {
        let base = self.target.base();
        let has = |what: &str| Condition::atom(format!("principal.{list}.contains({what})"));
        let constant = |text: &str| has(&quoted(&fold(text)));
        Ok(match attribute {
            Attribute::Missing => Condition::Constant(false),
            Attribute::Text(field) => has(&format!("{base}.{field}")),
            Attribute::MaybeText(field) => {
                let there = Condition::atom(format!("{base} has {field}"));
                Condition::any([
                    Condition::all([there.clone(), has(&format!("{base}.{field}"))]),
                    Condition::all([there.negated(), constant("None")]),
                ])
            }
            Attribute::Bool(field) => {
                let is = Condition::atom(format!("{base}.{field}"));
                Condition::any([
                    Condition::all([is.clone(), constant("True")]),
                    Condition::all([is.negated(), constant("False")]),
                ])
            }
            Attribute::Tag(name) => Condition::all([
                Condition::atom(format!("{base}.hasTag({})", quoted(name))),
                has(&format!("{base}.getTag({})", quoted(name))),
            ]),
            _ => return Err(format!("`{list}` is compared with `%({name})s`, which is no text to the policies")),
        })
    }
}

fn scoped() -> Condition {
    Condition::atom("principal has project")
}

/// The number that Python writes like this.
fn number(text: &str) -> Option<String> {
    text.parse::<i64>().ok().map(|n| n.to_string()).filter(|n| n == text)
}

fn in_project(id: &str) -> Condition {
    Condition::all([scoped(), Condition::atom(format!("principal.project == Project::{}", quoted(id)))])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::check::parse;

    fn text(rule: &str, target: Target) -> String {
        convert(&parse(rule).unwrap(), target).map_or_else(|why| format!("not: {why}"), |c| c.to_string())
    }

    #[test]
    fn forms_by_row() {
        let rows = [
            "role:Admin",
            "project_id:%(owner)s",
            "project_id:%(member_id)s",
            "'public':%(visibility)s or 'shared':%(visibility)s",
            "True:%(protected)s and not False:%(os_hidden)s",
            "None:%(owner)s",
            "'gold':%(class)s",
            "12:%(size)s",
            "project_id:abc and user_id:bob and roles:auditor and project_domain_id:d1",
            "roles:Auditor or role:reader",
            "service_roles:service",
            "'x':x or project_id:%(nothing)s",
            "tenant:%(owner)s or is_admin:True or user:bob or a.b:c or role:x",
            "system_scope:all or role:x",
            "domain_id:None and role:x",
            "role:%(class)s or role:%(visibility)s or role:%(name)s or role:%(protected)s",
            "roles:%(class)s or roles:%(name)s",
            "not role:%(class)s",
            "'x-gold':x-%(class)s or 'y':x-%(class)s",
            "'blue':%(member_id)s or None:%(member_id)s",
            "user_domain_id:d1",
            "roles.name:member",
            "a[0]:x",
            "@ and not !",
            "http://elsewhere/%(id)s",
            "role:%(name)s",
            "project_id:x-%(name)s",
            "'a':%(name)s%(class)s",
            "'a':%s",
            "project_id:%(name)s",
        ];
        let shown: Vec<_> = rows.iter().map(|row| format!("{row}\n    {}", text(row, Target::Image))).collect();
        insta::assert_snapshot!(shown.join("\n"));
    }

    #[test]
    fn a_rule_sees_what_glance_gives_it() {
        let own = "project_id:%(project_id)s";
        let rows = [
            (own, Target::Project, "principal has project"),
            (own, Target::Empty, "false"),
            (
                "'blue':%(project_id)s",
                Target::Project,
                "principal has project && principal.project == Project::\"blue\"",
            ),
            ("'public':%(visibility)s", Target::Namespace, "resource.visibility == \"public\""),
            ("project_id:%(owner)s", Target::Namespace, "false"),
            ("'gold':%(class)s", Target::Created, "false"),
            ("'gold':%(class)s", Target::Hidden, "not: what `%(class)s` stands for is not always known"),
            ("'gold':%(class)s", Target::Changed, "not: what `%(class)s` stands for is not always known"),
            (
                "project_id:%(member_id)s",
                Target::Member,
                "principal has project && resource.image.visibility == \"shared\" && !(principal has project && \
                 resource.image has owner && resource.image.owner == principal.project)",
            ),
            (
                "not role:a",
                Target::Property,
                "!(principal.roles.contains(\"a\") || principal.service_roles.contains(\"a\"))",
            ),
            (
                "not roles:a",
                Target::Property,
                "!(principal.roles.contains(\"a\") || principal.service_roles.contains(\"a\"))",
            ),
            ("role:a", Target::Property, "principal.roles.contains(\"a\")"),
        ];
        for (rule, target, wanted) in rows {
            assert_eq!(text(rule, target), wanted, "{rule} {target:?}");
        }
    }
}
