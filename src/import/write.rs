//! The policies that stand for Glance's rules, and those that stand for what Glance checks beside its rules.

use std::fmt::Write;

use super::{
    check::Check,
    condition::{Condition, quoted},
    convert::convert,
    rules::{Rule, Rules},
    target::Target,
};
use crate::authz::{Action, Policies};

/// What Glance checks in its code, whatever the rules say, so that a wide rule grants no more here than it does there.
const CODE: &str = r#"// What Glance checks in its code, whatever its rules say. Without these, a rule such as `"delete_image": "role:member"`,
// which its database narrows to owners, would let every member delete every image.

// A token must be scoped to a project.
@id("glance.scope")
forbid (principal, action, resource) unless { principal has project };

// Images of others are seen when they are public or shared with the project. Closed here: an image without an owner is
// seen by all in Glance, and a project that rejected an image still sees it.
@id("glance.visible")
forbid (principal, action in [<<IMAGE_ACTIONS>>], resource)
unless {
  (<<ADMIN>>) || ["public", "community"].contains(resource.visibility) ||
  principal has project &&
  (resource has owner && resource.owner == principal.project ||
   resource.visibility == "shared" &&
   (resource.members.contains(principal.project) || resource.pending.contains(principal.project)))
};

// Only shared images have members, and only those who may see the image by its rule see them.
@id("glance.members")
forbid (principal, action in [Action::"get_members", Action::"add_member", Action::"delete_member"], resource)
unless { resource.visibility == "shared" && (<<GET_IMAGE>>) };

// Of the members, a project sees itself, and the owner sees all.
@id("glance.member")
forbid (principal, action in [Action::"get_member", Action::"modify_member"], resource)
unless {
  resource.image.visibility == "shared" && (<<GET_MEMBERS_IMAGE>>) &&
  ((<<ADMIN>>) || principal has project &&
   (resource.image has owner && resource.image.owner == principal.project ||
    resource.image has owner && resource.project == principal.project &&
    (resource.image.members.contains(principal.project) || resource.image.pending.contains(principal.project))))
};

// Only the owner and administrators write.
@id("glance.mutable")
forbid (
  principal,
  action in [
    Action::"modify_image", Action::"delete_image", Action::"upload_image", Action::"publicize_image",
    Action::"communitize_image", Action::"deactivate", Action::"reactivate", Action::"set_image_location",
    Action::"delete_image_location", Action::"delete_member"
  ],
  resource
)
unless { (<<ADMIN>>) || principal has project && resource has owner && resource.owner == principal.project };

// A deactivated image is handed out to administrators only.
@id("glance.deactivated")
forbid (principal, action in [Action::"download_image", Action::"download_from_store"], resource)
when { resource.status == "deactivated" } unless { <<ADMIN>> };

// Namespaces of others are seen when they are public.
@id("glance.namespaces")
forbid (principal, action, resource is MetadefNamespace)
when { action != Action::"add_metadef_namespace" }
unless {
  (<<ADMIN>>) || resource.visibility == "public" ||
  principal has project && resource has owner && resource.owner == principal.project
};
"#;

/// The file that speaks of custom properties; the shipped one lets everybody read and write them.
pub const PROPERTIES: &str = "properties.cedar";

/// Files of policies by name.
pub type Files = Vec<(String, String)>;

/// What became of one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A policy that says the same.
    Converted,
    /// A policy would permit nothing: there is none.
    Nobody,
    /// Other rules are made of it.
    Part,
    /// Glance has no rule of this name, and no other rule is made of it: it does nothing there either.
    Unused,
    /// It has no counterpart, and nobody is permitted; the reason.
    Refused(String),
}

/// The policies of `rules`, and what became of each rule.
///
/// # Errors
/// When `context_is_admin` cannot be converted: everything hangs on it.
pub fn write(rules: &Rules) -> Result<(Files, Vec<(String, Outcome)>), String> {
    let admin = convert(&rules.resolved("context_is_admin")?, Target::Empty)
        .map_err(|why| format!("rule `context_is_admin`: {why}"))?;
    let referred = rules.referred();
    let mut text = "// Written by `fanlight policy import`: one policy for each rule.\n".to_owned();
    let mut outcomes = Vec::new();
    for (name, rule) in rules.iter() {
        let outcome = match name.parse::<Action>() {
            Ok(action) => match rules.resolved(name).and_then(|check| permit(action, rule, &check)) {
                Ok(Some(policy)) => {
                    text.push_str(&policy);
                    Outcome::Converted
                }
                Ok(None) => Outcome::Nobody,
                Err(why) => Outcome::Refused(why),
            },
            Err(_) if referred.contains(name) || rule.place.is_none() => Outcome::Part,
            Err(_) => Outcome::Unused,
        };
        outcomes.push((name.to_owned(), outcome));
    }
    let mut files = vec![("glance-rules.cedar".into(), text), ("glance-code.cedar".into(), code(rules, &admin))];
    files.push(("fanlight.cedar".into(), own(&admin)));
    let properties = Policies::shipped().into_iter().find(|(name, _)| name == PROPERTIES);
    files.extend(properties.map(|(name, bytes)| (name, String::from_utf8_lossy(&bytes).into_owned())));
    Ok((files, outcomes))
}

/// The policy of one rule; `None` when it permits nobody.
fn permit(action: Action, rule: &Rule, check: &Check) -> Result<Option<String>, String> {
    let condition = convert(check, Target::of(action))?;
    if condition == Condition::Constant(false) {
        return Ok(None);
    }
    let source = rule.place.as_ref().map_or("Glance 33".into(), |(file, line)| format!("{file}:{line}"));
    let mut text = format!(
        "\n@id({})\n@source({})\n@rule({})\npermit (principal, action == Action::{}, resource)",
        quoted(action.as_str()),
        quoted(&source),
        quoted(&rule.text),
        quoted(action.as_str()),
    );
    if condition == Condition::Constant(true) {
        text.push_str(";\n");
    } else {
        let _ = writeln!(text, " when {{ {condition} }};");
    }
    Ok(Some(text))
}

fn code(rules: &Rules, admin: &Condition) -> String {
    let seen: Vec<String> = Action::ALL
        .iter()
        .filter(|a| matches!(Target::of(**a), Target::Image | Target::Changed) && is_glances(**a))
        .map(|a| format!("Action::{}", quoted(a.as_str())))
        .collect();
    // What is not convertible permits nobody, here too.
    let also = |name: &str, target| {
        let condition = rules.resolved(name).and_then(|check| convert(&check, target));
        condition.unwrap_or(Condition::Constant(false))
    };
    let mut text = filled(
        CODE,
        &[
            ("IMAGE_ACTIONS", seen.join(", ")),
            ("ADMIN", admin.to_string()),
            ("GET_IMAGE", also("get_image", Target::Image).to_string()),
            ("GET_MEMBERS_IMAGE", also("get_image", Target::Member).to_string()),
        ],
    );
    text.push_str("\n// A member is looked up before it is changed or removed.\n");
    for (name, target) in [("modify_member", Target::Member), ("delete_member", Target::Image)] {
        let condition = also("get_member", target);
        if condition != Condition::Constant(true) {
            let _ = write!(
                text,
                "@id(\"glance.{name}\")\nforbid (principal, action == Action::\"{name}\", resource) unless {{ {condition} }};\n"
            );
        }
    }
    text
}

/// Puts values in the places of their names. They are not looked at again, whatever they contain.
fn filled(template: &str, values: &[(&str, String)]) -> String {
    let (mut out, mut rest) = (String::new(), template);
    while let Some((before, (name, after))) = rest.split_once("<<").and_then(|(b, a)| Some((b, a.split_once(">>")?))) {
        out.push_str(before);
        out.extend(values.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str()));
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Actions of ours that Glance has no rule for, and that stay with administrators.
const ADMINS: [&str; 3] = ["get_all_images", "change_owner", "explain_decision"];

fn own(admin: &Condition) -> String {
    let actions = ADMINS.map(|name| format!("Action::{}", quoted(name))).join(", ");
    format!(
        "// What Glance has no rule for.\n\n@id(\"fanlight.admin\")\npermit (principal, action in [{actions}], \
         resource)\nwhen {{ {admin} }};\n\n// Every project uses every store, as in Glance.\n@id(\"fanlight.stores\")\n\
         permit (principal, action in [Action::\"place_image\", Action::\"see_store\", Action::\"read_store\"], \
         resource);\n"
    )
}

/// Actions of ours that the shipped policies beside the rules speak of.
const SHIPPED: [&str; 7] = [
    "place_image",
    "see_store",
    "read_store",
    "read_property",
    "create_property",
    "update_property",
    "delete_property",
];

/// Whether Glance has a rule of this name.
fn is_glances(action: Action) -> bool {
    !ADMINS.contains(&action.as_str()) && !SHIPPED.contains(&action.as_str())
}
