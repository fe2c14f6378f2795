//! What Glance answers to a question: by its rules, evaluated as they are, and by what its code checks beside them.
//! Written from its behaviour; it shares nothing with the conversion but the parser of the rules.

use std::collections::BTreeSet;

use super::{
    evaluate,
    rules::Rules,
    target::Target,
    value::{Value, Values},
};
use crate::{
    authz::{Action, ImageFacts, Question},
    image::{MemberStatus, Status, Visibility},
};

/// Whether Glance permits it. `None` for what Glance has no rule for.
pub fn glance(rules: &Rules, question: &Question) -> Option<bool> {
    rules.get(question.action.as_str())?;
    let case = Case { rules, question, target: Target::of(question.action) };
    let admin = case.rule("context_is_admin", &Values::new());
    Some(rules_of(question.action).iter().all(|name| case.rule(name, &case.target())) && case.code(admin))
}

/// The rules that Glance asks for an action. Members are asked for by way of their image, and one member by way of looking
/// it up.
pub(super) fn rules_of(action: Action) -> Vec<&'static str> {
    let mut names = vec![action.as_str()];
    if is_of_members(action) {
        names.push("get_image");
    }
    if matches!(action, Action::ModifyMember | Action::DeleteMember) {
        names.push("get_member");
    }
    names
}

/// What the caller is to rules: oslo.context's values of a token.
pub(super) fn credentials(question: &Question) -> Values {
    let p = &question.principal;
    let list = |roles: &BTreeSet<String>| Value::List(roles.iter().map(|role| role.to_lowercase()).collect());
    let pairs = [
        ("user_id", Value::from(p.user.as_str())),
        ("project_id", Value::from(p.project.as_deref())),
        ("project_domain_id", Value::from(p.domain.as_deref())),
        ("domain_id", Value::None),
        ("system_scope", Value::None),
        ("roles", list(&p.roles)),
        ("service_roles", list(&p.service_roles)),
    ];
    pairs.map(|(name, value)| (name.to_owned(), value)).into()
}

struct Case<'a> {
    rules: &'a Rules,
    question: &'a Question,
    target: Target,
}

impl Case<'_> {
    fn rule(&self, name: &str, target: &Values) -> bool {
        let check = self.rules.check(name);
        check.is_some_and(|check| evaluate::holds(check, self.rules, &credentials(self.question), target))
    }

    fn project(&self) -> Option<&str> {
        self.question.principal.project.as_deref()
    }

    fn target(&self) -> Values {
        let mut values = Values::new();
        let mut put = |name: &str, value: Value| values.insert(name.to_owned(), value);
        match self.target {
            Target::Project => drop(put("project_id", Value::from(self.project()))),
            Target::Namespace => {
                let Some(namespace) = &self.question.namespace else { return values };
                put("project_id", Value::from(namespace.owner.as_deref()));
                put("visibility", Value::from(namespace.visibility.as_str()));
            }
            Target::Created | Target::Changed => {
                let Some(image) = &self.question.image else { return values };
                for name in ["owner", "project_id"] {
                    put(name, Value::from(image.owner.as_deref()));
                }
                put("visibility", Value::from(image.visibility.as_str()));
            }
            Target::Image | Target::Member => return self.image(),
            Target::Empty | Target::Hidden | Target::Property => {}
        }
        values
    }

    fn image(&self) -> Values {
        let mut values = Values::new();
        let mut put = |name: &str, value: Value| values.insert(name.to_owned(), value);
        let Some(image) = &self.question.image else { return values };
        for (name, value) in &image.properties {
            put(name, Value::from(value.as_str()));
        }
        for (name, value) in [("owner", &image.owner), ("project_id", &image.owner), ("name", &image.name)] {
            put(name, Value::from(value.as_deref()));
        }
        // A shared image of somebody else was found because the caller is a member of it, Glance thinks.
        let shared = image.visibility == Visibility::Shared && image.owner.as_deref() != self.project();
        let member = self.project().filter(|_| shared);
        put("member_id", Value::from(member));
        put("member", Value::from(member));
        put("disk_format", Value::from(image.disk_format.as_deref()));
        put("container_format", Value::from(image.container_format.as_deref()));
        put("visibility", Value::from(image.visibility.as_str()));
        put("status", Value::from(image.status.as_str()));
        put("id", Value::from(image.id.as_str()));
        put("image_id", Value::from(image.id.as_str()));
        put("protected", Value::Bool(image.protected));
        put("os_hidden", Value::Bool(image.os_hidden));
        put("size", image.size.map_or(Value::None, |size| Value::Int(i64::try_from(size).unwrap_or(i64::MAX))));
        values
    }

    /// What is checked beside the rules.
    fn code(&self, admin: bool) -> bool {
        let action = self.question.action;
        if let Some(namespace) = &self.question.namespace {
            let owner = namespace.owner.as_deref();
            let seen = admin || owner.is_none() || namespace.visibility == "public" || owner == self.project();
            return seen || action == Action::AddMetadefNamespace;
        }
        let Some(image) = &self.question.image else { return true };
        if action == Action::AddImage {
            return true;
        }
        let owns = owns(self.project(), image);
        let member = self.question.member.as_deref();
        let found = match action {
            // Only members of the owner and of oneself are found.
            Action::GetMember | Action::ModifyMember => admin || owns || member == self.project(),
            _ => true,
        };
        let shared = !is_of_members(action) || image.visibility == Visibility::Shared;
        let handed_out = !action.as_str().starts_with("download") || image.status != Status::Deactivated;
        let written = !OWNERS.contains(&action.as_str()) || owns;
        shared && found && (admin || self.sees(image) && handed_out && written)
    }

    fn sees(&self, image: &ImageFacts) -> bool {
        let open = matches!(image.visibility, Visibility::Public | Visibility::Community) || image.owner.is_none();
        let member = self.project().is_some_and(|project| image.members.contains_key(project));
        open || owns(self.project(), image) || image.visibility == Visibility::Shared && member
    }
}

/// Written by owners and administrators only, whatever the rules say.
const OWNERS: [&str; 9] = [
    "modify_image",
    "delete_image",
    "upload_image",
    "publicize_image",
    "communitize_image",
    "deactivate",
    "reactivate",
    "set_image_location",
    "delete_image_location",
];

fn is_of_members(action: Action) -> bool {
    use Action::{AddMember, DeleteMember, GetMember, GetMembers, ModifyMember};
    matches!(action, GetMember | GetMembers | AddMember | DeleteMember | ModifyMember)
}

fn owns(project: Option<&str>, image: &ImageFacts) -> bool {
    image.owner.is_some() && image.owner.as_deref() == project
}

/// Where the policies are stricter than Glance, on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stricter {
    /// To Glance, a caller without a project equals an image without an owner.
    NoProject,
    /// Glance shows an image without an owner to everybody.
    NoOwner,
    /// Glance shows a shared image to a project that rejected it, too.
    Rejected,
    /// Whoever passes the rule may remove its own membership in Glance.
    OwnMember,
    /// `role:%(name)s` is told without regard to case by Glance.
    RoleCase,
    /// The roles of a service token count as the user's when Glance protects properties.
    ServiceRoles,
    /// A rule that Glance asks as well is not convertible.
    Refused,
}

impl Stricter {
    /// One sentence.
    pub fn text(self) -> &'static str {
        match self {
            Self::NoProject => "a token without a project gets nothing; to Glance it equals an image without an owner",
            Self::NoOwner => "an image without an owner is not everybody's",
            Self::Rejected => "a project that rejected an image does not see it",
            Self::OwnMember => "a project does not take itself off an image with `delete_member`; it rejects it",
            Self::RoleCase => "a role that an attribute names counts in lower case only",
            Self::ServiceRoles => "roles of a service token do not count as the user's for properties",
            Self::Refused => "nobody, because `get_image` or `get_member` is not convertible",
        }
    }

    /// Why the policies may deny this although Glance permits it.
    pub fn of(question: &Question) -> Option<Self> {
        let project = question.principal.project.as_deref();
        if project.is_none() {
            return Some(Self::NoProject);
        }
        if question.namespace.as_ref().is_some_and(|n| n.owner.is_none()) {
            return Some(Self::NoOwner);
        }
        if question.property.is_some() {
            return (!question.principal.service_roles.is_empty()).then_some(Self::ServiceRoles);
        }
        let image = question.image.as_ref()?;
        if image.owner.is_none() {
            return Some(Self::NoOwner);
        }
        if project.and_then(|p| image.members.get(p)) == Some(&MemberStatus::Rejected) {
            return Some(Self::Rejected);
        }
        let own = question.action == Action::DeleteMember && !owns(project, image);
        own.then_some(Self::OwnMember)
    }
}
