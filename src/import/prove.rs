//! The proof of a conversion: random questions, answered by Glance's rules and code as they are and by the policies.
//!
//! Glance's side is written from its behaviour (`evaluate`, and [`Case::code`] here) and shares nothing with the
//! conversion but the parser. A question that Glance permits and the policies deny must have one of the known reasons;
//! one that the policies permit and Glance denies is a defect of the conversion.

use std::collections::{BTreeMap, BTreeSet};

use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};

use super::{
    check::Check,
    convert::Target,
    evaluate::{self, Value, Values, literal},
    rules::Rules,
};
use crate::{
    authz::{self, Action, ImageFacts, NamespaceFacts, Outcome, Policies, Principal, Question},
    error::Result,
    image::{MemberStatus, Status, Visibility},
};

/// Where the policies are stricter than Glance, on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stricter {
    /// To Glance, a caller without a project equals an image without an owner.
    NoProject,
    /// Glance shows an image without an owner to everybody.
    NoOwner,
    /// Glance shows a shared image to a project that rejected it, too.
    Rejected,
}

impl Stricter {
    /// One sentence.
    pub fn text(self) -> &'static str {
        match self {
            Self::NoProject => "a token without a project gets nothing; to Glance it equals an image without an owner",
            Self::NoOwner => "an image without an owner is not everybody's",
            Self::Rejected => "a project that rejected an image does not see it",
        }
    }
}

/// What the questions showed of one rule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Finding {
    /// Questions asked.
    pub asked: u64,
    /// Of which Glance permits.
    pub permitted: u64,
    /// Denied here, permitted there, and why.
    pub stricter: BTreeMap<Stricter, u64>,
    /// The first question whose difference has no known reason.
    pub different: Option<Question>,
}

/// Asks `count` random questions, the same for the same rules.
///
/// # Errors
/// When a question cannot be asked of the policies, which would be a defect.
pub fn prove(rules: &Rules, policies: &Policies, count: u64) -> Result<BTreeMap<String, Finding>> {
    let actions: Vec<Action> = rules
        .iter()
        .filter(|(name, _)| rules.resolved(name).is_ok())
        .filter_map(|(name, _)| name.parse().ok())
        .collect();
    let words = Words::of(rules);
    let mut rng = StdRng::seed_from_u64(count);
    let mut findings: BTreeMap<String, Finding> = BTreeMap::new();
    for action in actions.iter().cycle().take(usize::try_from(count).unwrap_or(usize::MAX)) {
        let case = words.case(&mut rng, *action);
        let glance = case.glance(rules);
        let here = authz::answer(policies, &case.question)?.outcome == Outcome::Permit;
        let finding = findings.entry(action.as_str().to_owned()).or_default();
        finding.asked += 1;
        finding.permitted += u64::from(glance);
        match (glance, here, case.reason()) {
            (true, false, Some(reason)) => *finding.stricter.entry(reason).or_default() += 1,
            (one, other, _) if one != other => finding.different = finding.different.take().or(Some(case.question)),
            _ => {}
        }
    }
    Ok(findings)
}

/// Texts that the rules compare with, and others, so that comparisons hold often.
struct Words {
    roles: Vec<String>,
    projects: Vec<String>,
    users: Vec<String>,
    domains: Vec<String>,
    attributes: BTreeMap<String, Vec<String>>,
}

impl Words {
    fn of(rules: &Rules) -> Self {
        let list = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        let mut words = Self {
            roles: list(&["admin", "member", "reader", "service", "other"]),
            projects: list(&["blue", "green"]),
            users: list(&["alice", "bob"]),
            domains: list(&["default", "d2"]),
            attributes: BTreeMap::new(),
        };
        for (name, _) in rules.iter() {
            if let Ok(check) = rules.resolved(name) {
                words.add(&check);
            }
        }
        words
    }

    fn add(&mut self, check: &Check) {
        match check {
            Check::Not(inner) => self.add(inner),
            Check::All(parts) | Check::Any(parts) => parts.iter().for_each(|part| self.add(part)),
            Check::Role(name) => self.roles.push(name.to_lowercase()),
            Check::Compare { left, right } => {
                if let Some(name) = right.strip_prefix("%(").and_then(|r| r.strip_suffix(")s")) {
                    if let Some(text) = literal(left).and_then(|value| value.text()) {
                        self.attributes.entry(name.to_owned()).or_default().push(text);
                    }
                    return;
                }
                match left.as_str() {
                    "project_id" | "tenant" | "tenant_id" => self.projects.push(right.clone()),
                    "user_id" | "user" => self.users.push(right.clone()),
                    "project_domain_id" => self.domains.push(right.clone()),
                    "roles" | "service_roles" => self.roles.push(right.to_lowercase()),
                    _ => {}
                }
            }
            _ => {}
        }
    }

    fn case(&self, rng: &mut StdRng, action: Action) -> Case {
        let target = Target::of(action);
        let mut question = Question::new(action);
        question.principal = Principal {
            user: pick(rng, &self.users),
            project: (!rng.random_ratio(1, 8)).then(|| pick(rng, &self.projects)),
            domain: Some(pick(rng, &self.domains)),
            user_domain: None,
            roles: self.some_roles(rng),
            service_roles: if rng.random_ratio(1, 4) { self.some_roles(rng) } else { BTreeSet::new() },
        };
        if question.principal.project.is_none() {
            question.principal.domain = None;
        }
        match target {
            Target::Image | Target::Member => {
                let mut image = self.image(rng);
                if target == Target::Member {
                    let member = pick(rng, &self.projects);
                    image.members.entry(member.clone()).or_insert(MemberStatus::Pending);
                    question.member = Some(member);
                }
                question.image = Some(image);
            }
            Target::Namespace => {
                let owner = (!rng.random_ratio(1, 5)).then(|| pick(rng, &self.projects));
                let visibility = if rng.random() { "public" } else { "private" };
                question.namespace = Some(NamespaceFacts { name: "n".into(), owner, visibility: visibility.into() });
            }
            Target::Service | Target::Empty => {}
        }
        Case { question, target }
    }

    fn image(&self, rng: &mut StdRng) -> ImageFacts {
        let mut image = ImageFacts {
            id: "6b0f3b5e-0000-4000-8000-000000000001".into(),
            owner: (!rng.random_ratio(1, 5)).then(|| pick(rng, &self.projects)),
            protected: rng.random(),
            os_hidden: rng.random(),
            ..ImageFacts::default()
        };
        let visibilities = [Visibility::Private, Visibility::Shared, Visibility::Community, Visibility::Public];
        image.visibility = one(rng, visibilities).unwrap_or(image.visibility);
        image.status = one(rng, [Status::Active, Status::Queued, Status::Deactivated]).unwrap_or(image.status);
        for project in self.projects.iter().take(4) {
            let answers = [MemberStatus::Accepted, MemberStatus::Pending, MemberStatus::Rejected];
            if let Some(answer) = one(rng, answers).filter(|_| rng.random()) {
                image.members.insert(project.clone(), answer);
            }
        }
        for (name, texts) in &self.attributes {
            if rng.random_ratio(1, 3) {
                continue;
            }
            let text = if rng.random_ratio(1, 4) { "else".to_owned() } else { pick(rng, texts) };
            match name.as_str() {
                "name" => image.name = Some(text),
                "disk_format" => image.disk_format = Some(text),
                "container_format" => image.container_format = Some(text),
                "size" => image.size = text.parse().ok(),
                "id" | "image_id" | "owner" | "project_id" | "visibility" | "status" | "protected" | "os_hidden" => {}
                "member_id" | "member" => {}
                _ => {
                    image.properties.insert(name.clone(), text);
                }
            }
        }
        image
    }

    fn some_roles(&self, rng: &mut StdRng) -> BTreeSet<String> {
        let admin = rng.random_ratio(1, 6);
        let kept = self.roles.iter().filter(|role| if *role == "admin" { admin } else { true });
        kept.filter(|role| *role == "admin" || rng.random()).cloned().collect()
    }
}

fn pick(rng: &mut StdRng, words: &[String]) -> String {
    words.choose(rng).cloned().unwrap_or_default()
}

fn one<T: Copy, const N: usize>(rng: &mut StdRng, all: [T; N]) -> Option<T> {
    all.choose(rng).copied()
}

/// One question to both sides.
struct Case {
    question: Question,
    target: Target,
}

impl Case {
    fn project(&self) -> Option<&str> {
        self.question.principal.project.as_deref()
    }

    /// What Glance would answer: by its rule, and by its code.
    fn glance(&self, rules: &Rules) -> bool {
        let credentials = self.credentials();
        let rule = |name: &str, target: &Values| {
            rules.check(name).is_some_and(|check| evaluate::holds(check, rules, &credentials, target))
        };
        let admin = rule("context_is_admin", &Values::new());
        rule(self.question.action.as_str(), &self.target()) && self.code(admin)
    }

    fn credentials(&self) -> Values {
        let p = &self.question.principal;
        let list = |roles: &BTreeSet<String>| Value::List(roles.iter().cloned().collect());
        let pairs = [
            ("user_id", Value::from(p.user.as_str())),
            ("user", Value::from(p.user.as_str())),
            ("project_id", Value::from(p.project.as_deref())),
            ("tenant", Value::from(p.project.as_deref())),
            ("tenant_id", Value::from(p.project.as_deref())),
            ("project_domain_id", Value::from(p.domain.as_deref())),
            ("roles", list(&p.roles)),
            ("service_roles", list(&p.service_roles)),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value)).into()
    }

    fn target(&self) -> Values {
        let mut values = Values::new();
        let mut put = |name: &str, value: Value| values.insert(name.to_owned(), value);
        if self.target == Target::Service {
            put("project_id", Value::from(self.project()));
        }
        if let Some(namespace) = &self.question.namespace {
            put("owner", Value::from(namespace.owner.as_deref()));
            put("project_id", Value::from(namespace.owner.as_deref()));
            put("visibility", Value::from(namespace.visibility.as_str()));
        }
        let Some(image) = &self.question.image else { return values };
        // Of an image, Glance knows the membership by which the caller sees it; of a membership, whose it is.
        let own = self.project().filter(|p| image.members.get(*p).is_some_and(|a| *a != MemberStatus::Rejected));
        let member = self.question.member.as_deref().or(own);
        for (name, value) in [("owner", &image.owner), ("project_id", &image.owner), ("name", &image.name)] {
            put(name, Value::from(value.as_deref()));
        }
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
        for (name, value) in &image.properties {
            put(name, Value::from(value.as_str()));
        }
        values
    }

    /// What Glance checks beside the rule.
    fn code(&self, admin: bool) -> bool {
        let name = self.question.action.as_str();
        if let Some(namespace) = &self.question.namespace {
            let owner = namespace.owner.as_deref();
            return admin || owner.is_none() || namespace.visibility == "public" || owner == self.project();
        }
        let Some(image) = &self.question.image else { return true };
        if admin || name == "add_image" {
            return true;
        }
        let owns = image.owner.is_some() && image.owner.as_deref() == self.project();
        let shared = image.visibility == Visibility::Shared
            && self.project().is_some_and(|project| image.members.contains_key(project));
        let own_membership = self.question.member.is_some() && self.question.member.as_deref() == self.project();
        let open = matches!(image.visibility, Visibility::Public | Visibility::Community) || image.owner.is_none();
        let writes = [
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
        let handed_out = !name.starts_with("download") || image.status != Status::Deactivated;
        (open || owns || shared || own_membership) && handed_out && (owns || !writes.contains(&name))
    }

    /// Why the policies may deny what Glance permits.
    fn reason(&self) -> Option<Stricter> {
        if self.project().is_none() {
            return Some(Stricter::NoProject);
        }
        if self.question.namespace.as_ref().is_some_and(|n| n.owner.is_none()) {
            return Some(Stricter::NoOwner);
        }
        let image = self.question.image.as_ref()?;
        if image.owner.is_none() {
            return Some(Stricter::NoOwner);
        }
        let rejected = self.project().and_then(|p| image.members.get(p)) == Some(&MemberStatus::Rejected);
        rejected.then_some(Stricter::Rejected)
    }
}
