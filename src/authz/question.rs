//! A question as data: who asks for what on which resource. Test cases, the record of denials and requests for an
//! explanation hold it in this form.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Action, NamespaceFacts, Resource, StoreFacts};
use crate::{
    context::Caller,
    error::{Error, Result},
    image::{Image, Member, MemberStatus, Status, Visibility},
};

/// Who asks for what on which resource. Without image, store and namespace, the resource is the service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Who.
    #[serde(default)]
    pub principal: Principal,
    /// What.
    pub action: Action,
    /// The image, or the image that the other resource belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageFacts>,
    /// The membership of this project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// The custom property of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub property: Option<String>,
    /// The store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreFacts>,
    /// The namespace of metadata definitions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<NamespaceFacts>,
}

/// What policies know of a caller. The default is nobody.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Principal {
    /// User id.
    pub user: String,
    /// Project of the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Domain of the project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Domain of the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_domain: Option<String>,
    /// Roles, each of them: `member` does not imply `reader` here.
    pub roles: BTreeSet<String>,
    /// Roles of the service token.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub service_roles: BTreeSet<String>,
}

/// What policies know of an image. The default is an active, shared image of nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ImageFacts {
    /// Image id.
    pub id: String,
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Owning project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Visibility.
    pub visibility: Visibility,
    /// Status.
    pub status: Status,
    /// Whether it refuses deletion.
    pub protected: bool,
    /// Whether lists leave it out.
    pub os_hidden: bool,
    /// Bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Disk format.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_format: Option<String>,
    /// Container format.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_format: Option<String>,
    /// Tags.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub tags: BTreeSet<String>,
    /// Custom properties.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, String>,
    /// What each project that it is shared with has answered.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub members: BTreeMap<String, MemberStatus>,
}

/// A question with the parts that its resource borrows.
pub(super) struct Held<'q> {
    question: &'q Question,
    pub(super) caller: Caller,
    image: Option<Image>,
    member: Option<Member>,
}

impl Question {
    /// Nobody asks for `action` on the service; to be filled in.
    #[must_use]
    pub fn new(action: Action) -> Self {
        Self {
            principal: Principal::default(),
            action,
            image: None,
            member: None,
            property: None,
            store: None,
            namespace: None,
        }
    }

    /// What is asked here, as data.
    #[must_use]
    pub fn of(caller: &Caller, action: Action, resource: &Resource<'_>) -> Self {
        let mut question = Self { principal: caller.into(), ..Self::new(action) };
        match resource {
            Resource::Service => {}
            Resource::Image(image) => question.image = Some((*image).into()),
            Resource::Member(image, member) => {
                question.image = Some((*image).into());
                question.member = Some(member.member.clone());
            }
            Resource::Property(image, name) => {
                question.image = Some((*image).into());
                question.property = Some((*name).to_owned());
            }
            Resource::Store(store, image) => {
                question.image = image.map(Into::into);
                question.store = Some((*store).clone());
            }
            Resource::Namespace(namespace) => question.namespace = Some((*namespace).clone()),
        }
        question
    }

    /// Who asks, in a few words.
    #[must_use]
    pub fn who(&self) -> String {
        let Principal { user, project, roles, service_roles, .. } = &self.principal;
        let list = |roles: &BTreeSet<String>| roles.iter().cloned().collect::<Vec<_>>().join(", ");
        if user.is_empty() {
            return "nobody".into();
        }
        let mut text = format!("{user} of {} ({})", project.as_deref().unwrap_or("no project"), list(roles));
        if !service_roles.is_empty() {
            text = format!("{text} through a service ({})", list(service_roles));
        }
        text
    }

    /// What it is asked of, in a few words: facts that are not the usual ones.
    #[must_use]
    pub fn which(&self) -> String {
        let mut parts = Vec::new();
        parts.extend(self.store.as_ref().map(|s| {
            let labels = s.labels.iter().map(|(k, v)| format!(" {k}={v}")).collect::<String>();
            format!("store {}{labels}", s.id)
        }));
        parts.extend(self.property.as_ref().map(|name| format!("property {name}")));
        parts.extend(self.member.as_ref().map(|project| format!("member {project}")));
        parts.extend(self.image.as_ref().map(ImageFacts::unusual));
        if parts.is_empty() { "the service".into() } else { parts.join(", ") }
    }

    /// # Errors
    /// `Invalid` when the parts do not make a resource.
    pub(super) fn hold(&self) -> Result<Held<'_>> {
        let image = self.image.as_ref().map(Image::from);
        let parts = [self.member.is_some(), self.property.is_some(), self.store.is_some(), self.namespace.is_some()];
        if parts.iter().filter(|there| **there).count() > 1 {
            return Err(Error::invalid("name only one of `member`, `property`, `store` and `namespace`"));
        }
        if image.is_none() && (self.member.is_some() || self.property.is_some()) {
            return Err(Error::invalid("a member or a property needs the `image` it belongs to"));
        }
        let member = match (&image, &self.member) {
            (Some(image), Some(project)) => Some(image.member(project).cloned().ok_or_else(|| {
                Error::invalid(format!("the image has no member `{project}`: add it to `members` of the image"))
            })?),
            _ => None,
        };
        Ok(Held { question: self, caller: self.principal.clone().into(), image, member })
    }
}

impl Held<'_> {
    pub(super) fn resource(&self) -> Resource<'_> {
        if let Some(namespace) = &self.question.namespace {
            return Resource::Namespace(namespace);
        }
        match (&self.image, &self.member, &self.question.property, &self.question.store) {
            (image, _, _, Some(store)) => Resource::Store(store, image.as_ref()),
            (Some(image), Some(member), ..) => Resource::Member(image, member),
            (Some(image), None, Some(name), None) => Resource::Property(image, name),
            (Some(image), None, None, None) => Resource::Image(image),
            (None, ..) => Resource::Service,
        }
    }
}

impl From<&Caller> for Principal {
    fn from(caller: &Caller) -> Self {
        Self {
            user: caller.user_id.clone(),
            project: caller.project_id.clone(),
            domain: caller.project_domain_id.clone(),
            user_domain: caller.user_domain_id.clone(),
            roles: caller.roles.clone(),
            service_roles: caller.service_roles.clone(),
        }
    }
}

impl From<Principal> for Caller {
    fn from(principal: Principal) -> Self {
        // Keystone compares role names without case, so they are lower-case wherever a caller comes from.
        let lower = |roles: BTreeSet<String>| roles.into_iter().map(|r| r.to_lowercase()).collect();
        Self {
            user_id: principal.user,
            project_id: principal.project,
            project_domain_id: principal.domain,
            user_domain_id: principal.user_domain,
            domain_id: None,
            roles: lower(principal.roles),
            service_roles: lower(principal.service_roles),
        }
    }
}

impl ImageFacts {
    fn unusual(&self) -> String {
        let usual = serde_json::to_value(Self::default()).unwrap_or_default();
        let own = serde_json::to_value(self).unwrap_or_default();
        let facts = own.as_object().into_iter().flatten().filter(|(key, value)| usual.get(key) != Some(value));
        let facts: Vec<_> = facts.map(|(key, value)| format!("{key}={}", value.to_string().replace('"', ""))).collect();
        format!("image {}", facts.join(" ")).trim_end().to_owned()
    }
}

impl Default for ImageFacts {
    fn default() -> Self {
        Self {
            id: "00000000-0000-4000-8000-000000000000".into(),
            name: None,
            owner: None,
            visibility: Visibility::Shared,
            status: Status::Active,
            protected: false,
            os_hidden: false,
            size: None,
            disk_format: None,
            container_format: None,
            tags: BTreeSet::new(),
            properties: BTreeMap::new(),
            members: BTreeMap::new(),
        }
    }
}

impl From<&Image> for ImageFacts {
    fn from(image: &Image) -> Self {
        Self {
            id: image.id.clone(),
            name: image.name.clone(),
            owner: image.owner.clone(),
            visibility: image.visibility,
            status: image.status,
            protected: image.protected,
            os_hidden: image.os_hidden,
            size: image.size,
            disk_format: image.disk_format.clone(),
            container_format: image.container_format.clone(),
            tags: image.tags.clone(),
            properties: image.properties.clone(),
            members: image.members.iter().map(|m| (m.member.clone(), m.status)).collect(),
        }
    }
}

impl From<&ImageFacts> for Image {
    fn from(facts: &ImageFacts) -> Self {
        let at = Timestamp::UNIX_EPOCH;
        let member = |(name, status): (&String, &MemberStatus)| Member {
            member: name.clone(),
            status: *status,
            created_at: at,
            updated_at: at,
        };
        Self {
            id: facts.id.clone(),
            name: facts.name.clone(),
            status: facts.status,
            visibility: facts.visibility,
            owner: facts.owner.clone(),
            protected: facts.protected,
            os_hidden: facts.os_hidden,
            checksum: None,
            os_hash_algo: None,
            os_hash_value: None,
            size: facts.size,
            virtual_size: None,
            container_format: facts.container_format.clone(),
            disk_format: facts.disk_format.clone(),
            min_disk: 0,
            min_ram: 0,
            tags: facts.tags.clone(),
            properties: facts.properties.clone(),
            members: facts.members.iter().map(member).collect(),
            locations: Vec::new(),
            created_at: at,
            updated_at: at,
            version: 1,
        }
    }
}
