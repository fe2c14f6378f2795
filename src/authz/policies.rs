//! The policies of one generation, cut into slices: an evaluation costs time per policy, so each looks only at those
//! that can apply to its action and type of resource.

use std::{
    collections::{BTreeMap, HashMap},
    sync::LazyLock,
};

use cedar_policy::{
    ActionConstraint, Effect, Entities, Entity, EntityTypeName, EntityUid, Policy, PolicyId, PolicySet,
    ResourceConstraint, Schema,
};

use super::{
    Action,
    classes::{self, Classes},
    decide::Knowns,
    entities,
    grant::Sight,
    kept::Kept,
    names::{self, Names},
    source::{self, Place, Places},
};
use crate::rules::Fault;

const SCHEMA: &str = include_str!("../../policies/schema.cedarschema");

/// The schema and the action entities that it defines; the same for every generation.
static VOCABULARY: LazyLock<Result<(Schema, Entities), String>> = LazyLock::new(|| {
    let (schema, _) = Schema::from_cedarschema_str(SCHEMA).map_err(|e| e.to_string())?;
    let actions = schema.action_entities().map_err(|e| e.to_string())?;
    Ok((schema, actions))
});

/// Parsed, validated policies, ready to decide.
pub struct Policies {
    slices: HashMap<(Action, Kind), Slice>,
    schema: Schema,
    ids: Vec<String>,
    pub(super) grants: Kept<Option<Sight>>,
    pub(super) names: Kept<Names>,
    pub(super) callers: Kept<Knowns>,
    set: PolicySet,
    places: Places,
    pub(super) classes: Classes,
}

/// Types of resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Service,
    Image,
    Member,
    Property,
    Store,
    MetadefNamespace,
}

impl Kind {
    const ALL: [Self; 6] =
        [Self::Service, Self::Image, Self::Member, Self::Property, Self::Store, Self::MetadefNamespace];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Service => "Service",
            Self::Image => "Image",
            Self::Member => "Member",
            Self::Property => "Property",
            Self::Store => "Store",
            Self::MetadefNamespace => "MetadefNamespace",
        }
    }
}

/// What can decide one action on one type of resource.
pub(super) struct Slice {
    pub(super) set: PolicySet,
    pub(super) action: EntityUid,
    /// The action with its groups: without it, `action in` is silently false.
    pub(super) action_entity: Entity,
    /// Of a property, its name is all that matters.
    pub(super) by_name: bool,
    /// The permit that needs no evaluation, when nothing forbids.
    pub(super) unconditional: Option<String>,
    /// Policies that apply to every request, the permit above among them.
    pub(super) absolute: Vec<PolicyId>,
}

impl Policies {
    /// Parses, validates strictly and slices.
    ///
    /// # Errors
    /// Everything that is wrong, with file and line: no half of a set is ever used.
    pub fn load(files: &[(String, Vec<u8>)]) -> Result<Self, Vec<Fault>> {
        let broken = |text: String| vec![Fault::new("schema.cedarschema", None, text)];
        let (schema, actions) = VOCABULARY.as_ref().map_err(|e| broken(e.clone()))?;
        let texts: Vec<_> = files.iter().filter(|(name, _)| name != classes::FILE).collect();
        let (set, places, classes) = match (source::parse(&texts, schema), Classes::read(files)) {
            (Ok((set, places)), Ok(classes)) => (set, places, classes),
            (a, b) => return Err(a.err().into_iter().chain(b.err()).flatten().collect()),
        };
        let mut slices = HashMap::new();
        for action in Action::ALL {
            let uid = entities::uid("Action", action.as_str()).map_err(|e| broken(e.to_string()))?;
            let Some(types) = schema.resources_for_action(&uid).map(|t| t.cloned().collect::<Vec<_>>()) else {
                return Err(broken(format!("action `{action}` is not in the schema")));
            };
            for kind in Kind::ALL.into_iter().filter(|k| types.iter().any(|t| t.to_string() == k.as_str())) {
                let slice = slice(&set, &uid, kind, actions)
                    .ok_or_else(|| broken(format!("no entity for action `{action}`")))?;
                slices.insert((*action, kind), slice);
            }
        }
        let mut ids: Vec<String> = set.policies().map(|p| p.id().to_string()).collect();
        ids.sort();
        Ok(Self {
            slices,
            schema: schema.clone(),
            ids,
            grants: Kept::default(),
            names: Kept::default(),
            callers: Kept::default(),
            set,
            places,
            classes,
        })
    }

    /// The policies that this binary ships, as file name and content.
    #[must_use]
    pub fn shipped() -> Vec<(String, Vec<u8>)> {
        [
            ("admin.cedar", include_str!("../../policies/admin.cedar")),
            ("images.cedar", include_str!("../../policies/images.cedar")),
            ("locations.cedar", include_str!("../../policies/locations.cedar")),
            ("members.cedar", include_str!("../../policies/members.cedar")),
            ("metadefs.cedar", include_str!("../../policies/metadefs.cedar")),
            ("properties.cedar", include_str!("../../policies/properties.cedar")),
            ("schema.cedarschema", SCHEMA),
            ("stores.cedar", include_str!("../../policies/stores.cedar")),
            ("tasks.cedar", include_str!("../../policies/tasks.cedar")),
        ]
        .map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()))
        .into()
    }

    /// Whether `action` is asked of images themselves.
    #[must_use]
    pub fn asked_of_images(&self, action: Action) -> bool {
        self.slices.contains_key(&(action, Kind::Image))
    }

    /// The tests of the shipped policies, as file name and content.
    #[must_use]
    pub fn shipped_cases() -> Vec<(String, Vec<u8>)> {
        [("tests/shipped.toml", include_str!("../../policies/tests/shipped.toml"))]
            .map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()))
            .into()
    }

    /// What a first start writes: the shipped policies and their tests.
    #[must_use]
    pub fn seeds() -> Vec<(String, Vec<u8>)> {
        [Self::shipped(), Self::shipped_cases()].concat()
    }

    /// The ids of all policies, sorted.
    #[must_use]
    pub fn ids(&self) -> &[String] {
        &self.ids
    }

    /// The policies, and the patterns of classes of properties, that `next` does not have, by the file that they are in
    /// here.
    pub(crate) fn missing_in(&self, next: &Self) -> BTreeMap<&str, Vec<String>> {
        let mut missing = BTreeMap::<_, Vec<_>>::new();
        let patterns = self.classes.missing_in(&next.classes);
        if !patterns.is_empty() {
            missing.insert(classes::FILE, patterns);
        }
        for id in self.ids.iter().filter(|id| next.ids.binary_search(id).is_err()) {
            let place = self.places.get(&PolicyId::new(id));
            missing.entry(place.map_or("*.cedar", |place| place.file.as_str())).or_default().push(id.clone());
        }
        missing
    }

    pub(super) fn slice(&self, action: Action, kind: Kind) -> Option<&Slice> {
        self.slices.get(&(action, kind))
    }

    /// Every slice, in a fixed order.
    pub(super) fn slices(&self) -> impl Iterator<Item = (Action, Kind, &Slice)> {
        let all = Action::ALL.iter().flat_map(|action| Kind::ALL.map(|kind| (*action, kind)));
        all.filter_map(|(action, kind)| Some((action, kind, self.slice(action, kind)?)))
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Policy> {
        self.set.policies()
    }

    /// Where a policy is written.
    pub(super) fn place(&self, policy: &Policy) -> Option<&Place> {
        self.places.get(policy.id())
    }

    pub(super) fn schema(&self) -> &Schema {
        &self.schema
    }
}

fn slice(all: &PolicySet, action: &EntityUid, kind: Kind, actions: &Entities) -> Option<Slice> {
    let mut set = PolicySet::new();
    let mut unconditional = None;
    let mut absolute = Vec::new();
    let mut forbidden = false;
    for policy in all.policies() {
        let acts = match policy.action_constraint() {
            ActionConstraint::Any => true,
            ActionConstraint::Eq(one) => within(action, &one, actions),
            ActionConstraint::In(many) => many.iter().any(|one| within(action, one, actions)),
        };
        let of_kind = |t: &EntityTypeName| t.to_string() == kind.as_str();
        let (fits, every) = match policy.resource_constraint() {
            ResourceConstraint::Any => (true, true),
            ResourceConstraint::Is(t) => (of_kind(&t), true),
            ResourceConstraint::IsIn(t, _) => (of_kind(&t), false),
            ResourceConstraint::Eq(one) => (of_kind(one.type_name()), false),
            ResourceConstraint::In(_) => (true, false),
        };
        if !acts || !fits {
            continue;
        }
        forbidden |= policy.effect() == Effect::Forbid;
        let anybody = matches!(
            policy.principal_constraint(),
            cedar_policy::PrincipalConstraint::Any | cedar_policy::PrincipalConstraint::Is(_)
        );
        if every && anybody && !policy.has_non_scope_constraint() {
            unconditional = Some(policy.id().to_string());
            absolute.push(policy.id().clone());
        }
        set.add(policy.clone()).ok()?;
    }
    Some(Slice {
        by_name: kind == Kind::Property && names::suffice(&set),
        set,
        action: action.clone(),
        action_entity: actions.get(action)?.clone(),
        unconditional: unconditional.filter(|_| !forbidden),
        absolute,
    })
}

fn within(action: &EntityUid, group: &EntityUid, actions: &Entities) -> bool {
    action == group || actions.is_ancestor_of(group, action)
}
