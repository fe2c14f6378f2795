//! Checks of oslo.policy as conditions of Cedar. What has no counterpart is refused with the reason: a rule that is
//! converted says the same, or less where the original has a hole.

use super::{
    check::Check,
    condition::{Condition, quoted},
    evaluate::literal,
};
use crate::authz::Action;

/// What Glance gives a rule to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// An image.
    Image,
    /// A membership, and its image.
    Member,
    /// A namespace of metadata definitions.
    Namespace,
    /// Nothing but the caller's own project.
    Service,
    /// Nothing at all.
    Empty,
}

impl Target {
    /// Of the rule that is named like this action.
    pub fn of(action: Action) -> Self {
        let name = action.as_str();
        match name {
            "get_member" | "modify_member" => Self::Member,
            "get_metadef_namespaces" | "list_metadef_resource_types" => Self::Service,
            "get_images" | "stores_info_detail" | "manage_image_cache" | "list_cached_nodes" => Self::Service,
            _ if name.contains("task") || name.starts_with("cache_") => Self::Service,
            _ if name.contains("metadef") => Self::Namespace,
            _ => Self::Image,
        }
    }

    /// The expression whose attributes are the image's or the namespace's.
    fn base(self) -> &'static str {
        if self == Self::Member { "resource.image" } else { "resource" }
    }
}

/// What an attribute of the target is to Cedar.
enum Attribute {
    /// A project that may be absent.
    Owner,
    /// The projects that have accepted, or not answered yet.
    Membership,
    /// The project of a membership.
    MemberProject,
    /// The caller's own project.
    Own,
    Text(&'static str),
    MaybeText(&'static str),
    MaybeNumber(&'static str),
    Bool(&'static str),
    Id,
    /// A custom property.
    Tag(String),
    Missing,
}

/// The condition under which `check`, which refers to no other rule, holds.
pub(super) fn convert(check: &Check, target: Target) -> Result<Condition, String> {
    let each = |parts: &[Check]| parts.iter().map(|part| convert(part, target)).collect::<Result<Vec<_>, _>>();
    Ok(match check {
        Check::Always => Condition::Constant(true),
        Check::Never => Condition::Constant(false),
        Check::Not(inner) => convert(inner, target)?.negated(),
        Check::All(parts) => Condition::all(each(parts)?),
        Check::Any(parts) => Condition::any(each(parts)?),
        Check::Role(name) if name.contains('%') => return Err(format!("the role `{name}` depends on the target")),
        Check::Role(name) => Condition::atom(format!("principal.roles.contains({})", quoted(&name.to_lowercase()))),
        Check::Rule(name) => return Err(format!("`rule:{name}` is not put in place")),
        Check::Remote(url) => return Err(format!("`{url}` asks another service, which policies cannot")),
        Check::Compare { left, right } => compare(left, right, target)?,
    })
}

fn compare(left: &str, right: &str, target: Target) -> Result<Condition, String> {
    let name = match right.strip_prefix("%(").and_then(|r| r.strip_suffix(")s")) {
        Some(name) if !name.contains('%') => Some(name),
        _ if right.contains('%') => return Err(format!("`{right}` puts an attribute into a text")),
        _ => None,
    };
    match (literal(left).map(|value| value.text()), name) {
        (Some(Some(text)), Some(name)) => with_text(&text, &attribute(name, target)?, target),
        (Some(text), None) => Ok(Condition::Constant(text.as_deref() == Some(right))),
        (Some(None), Some(_)) => Err(format!("`{left}` is no text")),
        (None, Some(name)) => with_caller(left, &attribute(name, target)?, name, target),
        (None, None) => caller_is(left, right),
    }
}

fn attribute(name: &str, target: Target) -> Result<Attribute, String> {
    let unknown = || Err(format!("`%({name})s` is not known to the policies"));
    Ok(match (target, name) {
        (Target::Empty, _) => Attribute::Missing,
        (Target::Service, "project_id") => Attribute::Own,
        (Target::Service, _) => Attribute::Missing,
        (_, "project_id" | "owner") => Attribute::Owner,
        (_, "visibility") => Attribute::Text("visibility"),
        (Target::Namespace, _) => return unknown(),
        (_, "protected") => Attribute::Bool("protected"),
        (Target::Image, "member_id" | "member") => Attribute::Membership,
        (_, "member_id" | "member") => Attribute::MemberProject,
        (_, "status") => Attribute::Text("status"),
        (_, "os_hidden") => Attribute::Bool("os_hidden"),
        (_, "name") => Attribute::MaybeText("name"),
        (_, "disk_format") => Attribute::MaybeText("disk_format"),
        (_, "container_format") => Attribute::MaybeText("container_format"),
        (_, "size") => Attribute::MaybeNumber("size"),
        (_, "id" | "image_id") => Attribute::Id,
        (_, "checksum" | "os_hash_algo" | "os_hash_value" | "virtual_size" | "min_disk" | "min_ram" | "created_at") => {
            return unknown();
        }
        (_, "updated_at" | "tags" | "extra_properties" | "locations") => return unknown(),
        (_, property) => Attribute::Tag(property.to_owned()),
    })
}

/// A literal beside an attribute; Python compares their texts.
fn with_text(text: &str, attribute: &Attribute, target: Target) -> Result<Condition, String> {
    let base = target.base();
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
        Attribute::MaybeNumber(field) => maybe(field, text.parse::<i64>().ok().map(|n| n.to_string())),
        Attribute::Bool(field) => match text {
            "True" => Condition::atom(format!("{base}.{field}")),
            "False" => Condition::atom(format!("{base}.{field}")).negated(),
            _ => Condition::Constant(false),
        },
        Attribute::Id => Condition::atom(format!("{base} == Image::{}", quoted(text))),
        Attribute::Tag(name) => {
            let name = quoted(name);
            Condition::all([
                Condition::atom(format!("{base}.hasTag({name})")),
                Condition::atom(format!("{base}.getTag({name}) == {}", quoted(text))),
            ])
        }
        Attribute::MemberProject => Condition::atom(format!("resource.project == Project::{}", quoted(text))),
        Attribute::Missing => Condition::Constant(false),
        Attribute::Membership | Attribute::Own => {
            return Err(format!("`{text}` is compared with the caller's project"));
        }
    })
}

/// A credential beside an attribute. That a caller without a project equals an image without an owner, because both
/// are the text `None` to Python, is a hole and left out.
fn with_caller(credential: &str, attribute: &Attribute, name: &str, target: Target) -> Result<Condition, String> {
    if matches!(attribute, Attribute::Missing) {
        return Ok(Condition::Constant(false));
    }
    if !matches!(credential, "project_id" | "tenant" | "tenant_id") {
        return Err(format!("`{credential}` is compared with `%({name})s`, which is of another kind"));
    }
    let base = target.base();
    let scoped = Condition::atom("principal has project");
    Ok(match attribute {
        Attribute::Own => scoped,
        Attribute::Owner => Condition::all([
            scoped,
            Condition::atom(format!("{base} has owner")),
            Condition::atom(format!("{base}.owner == principal.project")),
        ]),
        Attribute::Membership => Condition::all([
            scoped,
            Condition::any([
                Condition::atom("resource.members.contains(principal.project)"),
                Condition::atom("resource.pending.contains(principal.project)"),
            ]),
        ]),
        Attribute::MemberProject => Condition::all([scoped, Condition::atom("resource.project == principal.project")]),
        _ => return Err(format!("the caller's project is compared with `%({name})s`, which is no project")),
    })
}

/// A credential beside a text.
fn caller_is(credential: &str, text: &str) -> Result<Condition, String> {
    let scoped = Condition::atom("principal has project");
    Ok(match credential {
        "project_id" | "tenant" | "tenant_id" => {
            let same = Condition::atom(format!("principal.project == Project::{}", quoted(text)));
            Condition::all([scoped, same])
        }
        "user_id" | "user" => Condition::atom(format!("principal == User::{}", quoted(text))),
        "roles" | "service_roles" => {
            Condition::atom(format!("principal.{credential}.contains({})", quoted(&text.to_lowercase())))
        }
        "project_domain_id" => {
            Condition::all([scoped, Condition::atom(format!("principal.project in Domain::{}", quoted(text)))])
        }
        other => return Err(format!("the credential `{other}` is not known to the policies")),
    })
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
            "project_id:abc and user_id:bob and roles:Auditor and project_domain_id:d1",
            "'x':x or project_id:%(nothing)s",
            "@ and not !",
            "is_admin:True",
            "http://elsewhere/%(id)s",
            "role:%(name)s",
            "'x-%(name)s':y or 'a':x-%(name)s",
            "project_id:%(name)s",
        ];
        let shown: Vec<_> = rows.iter().map(|row| format!("{row}\n    {}", text(row, Target::Image))).collect();
        insta::assert_snapshot!(shown.join("\n"));
    }

    #[test]
    fn a_rule_sees_what_glance_gives_it() {
        assert_eq!(text("project_id:%(project_id)s", Target::Service), "principal has project");
        assert_eq!(text("project_id:%(project_id)s", Target::Empty), "false");
        assert!(text("project_id:%(member_id)s", Target::Member).ends_with("resource.project == principal.project"));
        assert!(
            text("project_id:%(project_id)s", Target::Member).contains("resource.image.owner == principal.project")
        );
        assert_eq!(text("'public':%(visibility)s", Target::Namespace), "resource.visibility == \"public\"");
    }
}
