//! Made-up questions: the callers and resources that two sets of policies speak of, in every combination that could
//! matter. The same sets always give the same questions.

use std::collections::BTreeSet;

use super::{touched, words::Words};
use crate::{
    authz::{Action, ImageFacts, NamespaceFacts, Policies, Principal, Question, StoreFacts, policies::Kind},
    error::Result,
    image::{MemberStatus, Status, Visibility},
};

/// Questions at most. Combinations of two facts come last and are what is left out.
const QUESTIONS_MAX: usize = 200_000;

/// The project that asks most questions, and the one that it meets.
const ONE: &str = "one";
const OTHER: &str = "other";

/// Questions about everything that the two sets do not treat by the very same policies.
///
/// # Errors
/// `Internal` when a policy cannot be taken apart.
pub fn generate(old: &Policies, new: &Policies) -> Result<impl Iterator<Item = Question> + use<>> {
    let words = Words::of([old, new])?;
    let callers = callers(&words);
    let images = images(&words);
    let touched = touched(old, new);
    // Images outermost: when there are too many questions, every action and caller has met the plain images.
    let all = images.into_iter().enumerate().flat_map(move |(number, image)| {
        // What has nothing to do with images is asked once.
        let about_images = |action, kind| kind != Kind::Service && action != Action::SeeStore;
        let own = touched.iter().filter(|(action, kind)| number == 0 || about_images(*action, *kind));
        let parts = own.flat_map(|(action, kind)| resources(&words, *action, *kind, &image));
        let ask = |parts: Question| callers.iter().map(move |c| Question { principal: c.clone(), ..parts.clone() });
        parts.flat_map(ask).collect::<Vec<_>>()
    });
    Ok(all.take(QUESTIONS_MAX))
}

fn callers(words: &Words) -> Vec<Principal> {
    let set = |roles: &[&str]| roles.iter().map(|r| (*r).to_owned()).collect::<BTreeSet<_>>();
    let mut roles = vec![
        set(&[]),
        set(&["reader"]),
        set(&["member", "reader"]),
        set(&["admin", "member", "reader"]),
        set(&["service"]),
    ];
    for role in words.texts("roles").iter().filter(|r| !["reader", "member", "admin", "service"].contains(&r.as_str()))
    {
        roles.extend([set(&[role]), set(&[role, "member", "reader"])]);
    }
    let mut services = vec![BTreeSet::new()];
    services.extend(words.texts("service_roles").iter().map(|role| set(&[role])));
    let mut projects = vec![None, Some(ONE.to_owned()), Some(OTHER.to_owned())];
    projects.extend(words.ids("Project").into_iter().map(Some));
    let mut users = vec!["user".to_owned()];
    users.extend(words.ids("User"));
    let mut domains = vec!["default".to_owned()];
    domains.extend(words.ids("Domain"));

    let mut all = vec![Principal::default()];
    for project in &projects {
        for roles in &roles {
            for service_roles in &services {
                for user in &users {
                    for domain in &domains {
                        all.push(Principal {
                            user: user.clone(),
                            project: project.clone(),
                            domain: project.as_ref().map(|_| domain.clone()),
                            user_domain: Some(domain.clone()),
                            roles: roles.clone(),
                            service_roles: service_roles.clone(),
                        });
                    }
                }
            }
        }
    }
    all
}

/// A change of one fact of an image.
type Twist = Box<dyn Fn(&mut ImageFacts)>;

/// Plain images of every owner and visibility, then each with one fact changed, then with two.
fn images(words: &Words) -> Vec<ImageFacts> {
    let mut owners = vec![Some(ONE.to_owned()), None];
    owners.extend(words.ids("Project").into_iter().map(Some));
    let mut plain = Vec::new();
    for visibility in [Visibility::Private, Visibility::Shared, Visibility::Community, Visibility::Public] {
        for owner in &owners {
            plain.push(ImageFacts { owner: owner.clone(), visibility, ..ImageFacts::default() });
        }
    }
    let twists = twists(words);
    let twisted = |base: &ImageFacts, twists: &[&Twist]| {
        let mut image = base.clone();
        twists.iter().for_each(|twist| twist(&mut image));
        image
    };
    let mut all = plain.clone();
    for twist in &twists {
        all.extend(plain.iter().map(|base| twisted(base, &[twist])));
    }
    for (i, first) in twists.iter().enumerate() {
        for second in twists.iter().skip(i + 1) {
            all.extend(plain.iter().map(|base| twisted(base, &[first, second])));
        }
    }
    all
}

fn twists(words: &Words) -> Vec<Twist> {
    let mut all: Vec<Twist> = vec![Box::new(|i| i.protected = true), Box::new(|i| i.os_hidden = true)];
    for status in [MemberStatus::Accepted, MemberStatus::Pending, MemberStatus::Rejected] {
        all.push(Box::new(move |i| {
            i.members.insert(OTHER.into(), status);
        }));
    }
    all.push(Box::new(|i| i.status = Status::Deactivated));
    for status in words.texts("status").iter().filter_map(|word| word.parse::<Status>().ok()) {
        all.push(Box::new(move |i| i.status = status));
    }
    for id in words.ids("Image") {
        all.push(Box::new(move |i| i.id.clone_from(&id)));
    }
    for name in words.texts("name") {
        all.push(Box::new(move |i| i.name = Some(name.clone())));
    }
    for format in words.texts("disk_format") {
        all.push(Box::new(move |i| i.disk_format = Some(format.clone())));
    }
    for format in words.texts("container_format") {
        all.push(Box::new(move |i| i.container_format = Some(format.clone())));
    }
    for size in words.numbers("size") {
        all.push(Box::new(move |i| i.size = Some(size)));
    }
    for tag in words.texts("tags") {
        all.push(Box::new(move |i| {
            i.tags.insert(tag.clone());
        }));
    }
    for (key, value) in words.tags.iter().flat_map(|(key, values)| values.iter().map(move |v| (key.clone(), v.clone())))
    {
        all.push(Box::new(move |i| {
            i.properties.insert(key.clone(), value.clone());
        }));
    }
    all
}

/// The resources of one type that belong to `image`.
fn resources(words: &Words, action: Action, kind: Kind, image: &ImageFacts) -> Vec<Question> {
    let bare = Question { image: Some(image.clone()), ..Question::new(action) };
    match kind {
        Kind::Service => vec![Question { image: None, ..bare }],
        Kind::Image => vec![bare],
        Kind::Member => image.members.keys().map(|m| Question { member: Some(m.clone()), ..bare.clone() }).collect(),
        Kind::Property => {
            let mut names: BTreeSet<String> = words.texts("name").into_iter().chain(words.ids("Property")).collect();
            names.extend(words.tags.keys().cloned());
            names.insert("property".into());
            names.into_iter().map(|name| Question { property: Some(name), ..bare.clone() }).collect()
        }
        Kind::MetadefNamespace => {
            let facts = |visibility: &str| NamespaceFacts {
                name: "namespace".into(),
                owner: image.owner.clone(),
                visibility: visibility.into(),
            };
            let bare = Question::new(action);
            ["public", "private"].map(|v| Question { namespace: Some(facts(v)), ..bare.clone() }).into()
        }
        Kind::Store => {
            let image = bare.image.filter(|_| action != Action::SeeStore);
            let bare = Question { image, ..Question::new(action) };
            stores(words).into_iter().map(|s| Question { store: Some(s), ..bare.clone() }).collect()
        }
    }
}

/// Stores that are named, and one for each label and kind.
fn stores(words: &Words) -> Vec<StoreFacts> {
    let mut ids = words.ids("Store");
    ids.push("store".into());
    let mut all: Vec<_> = ids.iter().map(|id| StoreFacts { id: id.clone(), ..StoreFacts::default() }).collect();
    for kind in words.texts("kind") {
        all.extend(ids.iter().map(|id| StoreFacts { id: id.clone(), kind: kind.clone(), ..StoreFacts::default() }));
    }
    for (label, values) in &words.tags {
        for value in values {
            let labels = [(label.clone(), value.clone())].into();
            all.push(StoreFacts { id: "store".into(), kind: String::new(), labels });
        }
    }
    all
}
