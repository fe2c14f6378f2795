//! Random questions that the rules have something to say about.

use std::collections::{BTreeMap, BTreeSet};

use rand::{RngExt, rngs::StdRng, seq::IndexedRandom};

use super::{
    check::Check,
    rules::Rules,
    target::Target,
    template::{self, Template},
    value::literal,
};
use crate::{
    authz::{Action, ImageFacts, NamespaceFacts, Principal, Question},
    image::{MemberStatus, Status, Visibility},
};

/// Texts that the rules compare with, and others, so that comparisons hold often.
pub(super) struct Words {
    roles: Vec<String>,
    projects: Vec<String>,
    users: Vec<String>,
    domains: Vec<String>,
    attributes: BTreeMap<String, Vec<String>>,
}

impl Words {
    pub(super) fn of(rules: &Rules) -> Self {
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
            Check::Role(name) => match template::read(name) {
                Ok(Template::Text(name)) => self.add_role(&name),
                Ok(Template::Attribute(name)) => self.names_roles(name),
                _ => {}
            },
            Check::Compare { left, right } => {
                let text = literal(left).and_then(|value| value.text());
                match (text, template::read(right)) {
                    (Some(text), Ok(Template::Attribute(name))) => self.attributes.entry(name).or_default().push(text),
                    (Some(text), Ok(Template::Around { before, name, after })) => {
                        let inner = text.strip_prefix(before.as_str()).and_then(|t| t.strip_suffix(after.as_str()));
                        self.attributes.entry(name).or_default().push(inner.unwrap_or("other").to_owned());
                    }
                    (None, Ok(Template::Attribute(name))) if left.ends_with("roles") => self.names_roles(name),
                    _ => {}
                }
                if right.contains('%') {
                    return;
                }
                match left.as_str() {
                    "project_id" => self.projects.push(right.clone()),
                    "user_id" => self.users.push(right.clone()),
                    "project_domain_id" => self.domains.push(right.clone()),
                    "roles" | "service_roles" => self.add_role(right),
                    _ => {}
                }
            }
            _ => {}
        }
    }

    pub(super) fn add_role(&mut self, name: &str) {
        let name = name.to_lowercase();
        if !self.roles.contains(&name) {
            self.roles.push(name);
        }
    }

    /// An attribute that roles are compared with.
    fn names_roles(&mut self, attribute: String) {
        self.attributes
            .entry(attribute)
            .or_default()
            .extend(["member", "reader", "Member", "other"].map(str::to_owned));
        self.add_role("none");
    }

    /// A question about `action`.
    pub(super) fn question(&self, rng: &mut StdRng, action: Action) -> Question {
        let mut question = Question { principal: self.principal(rng), ..Question::new(action) };
        match Target::of(action) {
            Target::Image | Target::Created | Target::Changed => question.image = Some(self.image(rng)),
            Target::Member => {
                let mut image = self.image(rng);
                let member = pick(rng, &self.projects);
                image.members.entry(member.clone()).or_insert(MemberStatus::Pending);
                question.member = Some(member);
                question.image = Some(image);
            }
            Target::Namespace => question.namespace = Some(self.namespace(rng)),
            // The only one of those that only know the caller's project which is asked of something.
            Target::Project if action == Action::AddMetadefNamespace => question.namespace = Some(self.namespace(rng)),
            Target::Project | Target::Hidden | Target::Empty | Target::Property => {}
        }
        question
    }

    /// A question about the property of this name.
    pub(super) fn of_property(&self, rng: &mut StdRng, action: Action, name: String) -> Question {
        let image = Some(self.image(rng));
        Question { principal: self.principal(rng), image, property: Some(name), ..Question::new(action) }
    }

    fn principal(&self, rng: &mut StdRng) -> Principal {
        let project = (!rng.random_ratio(1, 8)).then(|| pick(rng, &self.projects));
        Principal {
            user: pick(rng, &self.users),
            domain: project.is_some().then(|| pick(rng, &self.domains)),
            project,
            user_domain: None,
            roles: self.some_roles(rng),
            service_roles: if rng.random_ratio(1, 4) { self.some_roles(rng) } else { BTreeSet::new() },
        }
    }

    fn namespace(&self, rng: &mut StdRng) -> NamespaceFacts {
        let owner = (!rng.random_ratio(1, 5)).then(|| pick(rng, &self.projects));
        let visibility = if rng.random() { "public" } else { "private" };
        NamespaceFacts { name: "n".into(), owner, visibility: visibility.into() }
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
                "id" | "image_id" | "owner" | "project_id" | "visibility" | "status" | "protected" | "os_hidden"
                | "member_id" | "member" => {}
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

pub(super) fn pick(rng: &mut StdRng, words: &[String]) -> String {
    words.choose(rng).cloned().unwrap_or_default()
}

fn one<T: Copy, const N: usize>(rng: &mut StdRng, all: [T; N]) -> Option<T> {
    all.choose(rng).copied()
}
