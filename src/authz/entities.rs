//! Cedar's view of caller and resource. Built without the schema at run time; debug builds hold it against the schema.

use std::{str::FromStr, sync::LazyLock};

use cedar_policy::{Context as Facts, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression as Value};

use super::{NamespaceFacts, Resource, classes::Classes, policies::Kind};
use crate::{
    context::Caller,
    error::{Error, Result},
    image::{Image, Member, MemberStatus},
};

/// Type names, parsed once.
static TYPES: LazyLock<Vec<(&'static str, EntityTypeName)>> = LazyLock::new(|| {
    ["Action", "User", "Project", "Domain", "Image", "Member", "Property", "Store", "Service", "MetadefNamespace"]
        .into_iter()
        .filter_map(|name| EntityTypeName::from_str(name).ok().map(|parsed| (name, parsed)))
        .collect()
});

/// Resource, the entities it stands on, and the context of the request.
pub(super) struct Asked {
    pub(super) uid: EntityUid,
    pub(super) entities: Vec<Entity>,
    pub(super) facts: Facts,
}

pub(super) fn uid(kind: &'static str, id: &str) -> Result<EntityUid> {
    Ok(EntityUid::from_type_name_and_id(type_name(kind)?, EntityId::new(id)))
}

pub(super) fn type_name(kind: &'static str) -> Result<EntityTypeName> {
    let name = TYPES.iter().find(|(n, _)| *n == kind).map(|(_, t)| t.clone());
    name.ok_or_else(|| Error::internal(format!("no entity type `{kind}`")))
}

/// The caller, and their project within its domain.
pub(super) fn caller(caller: &Caller) -> Result<(EntityUid, Vec<Entity>)> {
    let user = uid("User", &caller.user_id)?;
    let words = |set: &std::collections::BTreeSet<String>| Value::new_set(set.iter().cloned().map(Value::new_string));
    let mut attrs =
        vec![("roles".to_owned(), words(&caller.roles)), ("service_roles".to_owned(), words(&caller.service_roles))];
    let mut parents = Vec::with_capacity(2);
    let mut entities = Vec::with_capacity(4);
    if let Some(id) = caller.project_id.as_deref().filter(|id| !id.is_empty()) {
        let project = uid("Project", id)?;
        let domain = caller.project_domain_id.as_deref().map(|d| uid("Domain", d)).transpose()?;
        entities.push(Entity::new_no_attrs(project.clone(), domain.into_iter().collect()));
        attrs.push(("project".to_owned(), Value::new_entity_uid(project.clone())));
        parents.push(project);
    }
    if let Some(domain) = &caller.user_domain_id {
        parents.push(uid("Domain", domain)?);
    }
    entities.push(Entity::new_with_tags(user.clone(), attrs, parents, []).map_err(Error::internal)?);
    Ok((user, entities))
}

pub(super) fn kind(resource: &Resource<'_>) -> Kind {
    match resource {
        Resource::Service => Kind::Service,
        Resource::Image(_) => Kind::Image,
        Resource::Member(..) => Kind::Member,
        Resource::Property(..) => Kind::Property,
        Resource::Store(..) => Kind::Store,
        Resource::Namespace(_) => Kind::MetadefNamespace,
    }
}

pub(super) fn asked(resource: &Resource<'_>, classes: &Classes) -> Result<Asked> {
    let mut facts = Facts::empty();
    let (uid, entities) = match resource {
        Resource::Service => {
            let service = uid("Service", "fanlight")?;
            (service.clone(), vec![Entity::with_uid(service)])
        }
        Resource::Image(i) => {
            let (id, entity) = image(i)?;
            (id, vec![entity])
        }
        Resource::Member(i, m) => {
            let (id, entity) = image(i)?;
            let (member, it) = member(&id, i, m)?;
            (member, vec![entity, it])
        }
        Resource::Property(i, name) => {
            let (id, entity) = image(i)?;
            let (property, it) = property(&id, name, classes)?;
            (property, vec![entity, it])
        }
        Resource::Store(store, i) => {
            let mut entities = Vec::with_capacity(2);
            if let Some(i) = i {
                let (id, entity) = image(i)?;
                facts =
                    Facts::from_pairs([("image".to_owned(), Value::new_entity_uid(id))]).map_err(Error::internal)?;
                entities.push(entity);
            }
            let it = uid("Store", &store.id)?;
            let attrs =
                [("id", &store.id), ("kind", &store.kind)].map(|(k, v)| (k.to_owned(), Value::new_string(v.clone())));
            let labels = store.labels.iter().map(|(k, v)| (k.clone(), Value::new_string(v.clone())));
            entities.push(Entity::new_with_tags(it.clone(), attrs, [], labels).map_err(Error::internal)?);
            (it, entities)
        }
        Resource::Namespace(facts) => {
            let (namespace, it) = namespace(facts)?;
            (namespace, vec![it])
        }
    };
    Ok(Asked { uid, entities, facts })
}

pub(super) fn image(image: &Image) -> Result<(EntityUid, Entity)> {
    let it = uid("Image", &image.id)?;
    let text = |s: &str| Value::new_string(s.to_owned());
    let mut attrs = Vec::with_capacity(13);
    attrs.push(("visibility".to_owned(), text(image.visibility.as_str())));
    attrs.push(("status".to_owned(), text(image.status.as_str())));
    attrs.push(("protected".to_owned(), Value::new_bool(image.protected)));
    attrs.push(("os_hidden".to_owned(), Value::new_bool(image.os_hidden)));
    attrs.push(("tags".to_owned(), Value::new_set(image.tags.iter().map(|t| text(t)))));
    let optional =
        [("name", &image.name), ("disk_format", &image.disk_format), ("container_format", &image.container_format)];
    for (name, value) in optional {
        if let Some(value) = value {
            attrs.push((name.to_owned(), text(value)));
        }
    }
    if let Some(size) = image.size {
        attrs.push(("size".to_owned(), Value::new_long(i64::try_from(size).unwrap_or(i64::MAX))));
    }
    if let Some(owner) = image.owner.as_deref().filter(|o| !o.is_empty()) {
        attrs.push(("owner".to_owned(), Value::new_entity_uid(uid("Project", owner)?)));
    }
    let answers =
        [("members", MemberStatus::Accepted), ("pending", MemberStatus::Pending), ("rejected", MemberStatus::Rejected)];
    for (name, status) in answers {
        let projects = image.members.iter().filter(|m| m.status == status);
        let projects: Vec<_> =
            projects.map(|m| uid("Project", &m.member).map(Value::new_entity_uid)).collect::<Result<_>>()?;
        attrs.push((name.to_owned(), Value::new_set(projects)));
    }
    let properties = image.properties.iter().map(|(k, v)| (k.clone(), text(v)));
    let entity = Entity::new_with_tags(it.clone(), attrs, [], properties).map_err(Error::internal)?;
    Ok((it, entity))
}

fn namespace(facts: &NamespaceFacts) -> Result<(EntityUid, Entity)> {
    let it = uid("MetadefNamespace", &facts.name)?;
    let mut attrs = vec![("visibility".to_owned(), Value::new_string(facts.visibility.clone()))];
    if let Some(owner) = facts.owner.as_deref().filter(|o| !o.is_empty()) {
        attrs.push(("owner".to_owned(), Value::new_entity_uid(uid("Project", owner)?)));
    }
    let entity = Entity::new_with_tags(it.clone(), attrs, [], []).map_err(Error::internal)?;
    Ok((it, entity))
}

fn member(image_uid: &EntityUid, image: &Image, member: &Member) -> Result<(EntityUid, Entity)> {
    let it = uid("Member", &format!("{}/{}", image.id, member.member))?;
    let attrs = [
        ("image".to_owned(), Value::new_entity_uid(image_uid.clone())),
        ("project".to_owned(), Value::new_entity_uid(uid("Project", &member.member)?)),
        ("status".to_owned(), Value::new_string(member.status.as_str().to_owned())),
    ];
    let entity = Entity::new_with_tags(it.clone(), attrs, [], []).map_err(Error::internal)?;
    Ok((it, entity))
}

pub(super) fn property(image: &EntityUid, name: &str, classes: &Classes) -> Result<(EntityUid, Entity)> {
    let it = uid("Property", name)?;
    let attrs = [
        ("image".to_owned(), Value::new_entity_uid(image.clone())),
        ("name".to_owned(), Value::new_string(name.to_owned())),
        ("classes".to_owned(), Value::new_set(classes.of(name).map(|class| Value::new_string(class.to_owned())))),
    ];
    let entity = Entity::new_with_tags(it.clone(), attrs, [], []).map_err(Error::internal)?;
    Ok((it, entity))
}
