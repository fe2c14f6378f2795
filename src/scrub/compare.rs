//! The list of a store between two readings of the database.

use std::collections::HashSet;

use uuid::Uuid;

use super::{
    claims::{Claims, Expected},
    report::{Finding, FindingKind},
};
use crate::store::Object;

/// What the list says at once, and what has to be looked at again.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Compared {
    /// Objects that the database speaks of.
    pub known: u64,
    /// Objects that nothing speaks for, neither before nor after.
    pub unknown: Vec<Object>,
    /// Copies that the list does not have.
    pub missing: Vec<Missing>,
    /// Images whose data is there with the right size.
    pub whole: Vec<String>,
    pub findings: Vec<Finding>,
}

/// A copy that both readings have and the list does not.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Missing {
    pub image: String,
    pub location: String,
    pub url: String,
    pub size: Option<u64>,
    /// There is unfinished data of the same name.
    pub partial: bool,
}

pub(super) fn compare(before: &Claims, objects: Vec<Object>, after: &Claims) -> Compared {
    let mut out = Compared::default();
    let finished: HashSet<String> = objects.iter().filter(|o| !o.partial).map(|o| o.name.clone()).collect();
    let partial: HashSet<String> = objects.iter().filter(|o| o.partial).map(|o| o.name.clone()).collect();
    for object in objects {
        if !before.knows(&object.name) && !after.knows(&object.name) {
            // An object that cannot be an image's is somebody else's.
            match is_image_id(&object.name) {
                true => out.unknown.push(object),
                false => out.findings.push(Finding::of(&object, FindingKind::Foreign, "its name is no image id")),
            }
            continue;
        }
        out.known += 1;
        // A copy that came or went meanwhile says nothing.
        let Some(expected) = settled(before, after, &object.name) else { continue };
        if object.partial {
            let moving = before.in_motion.contains(&object.name) || after.in_motion.contains(&object.name);
            if finished.contains(&object.name) && !moving {
                let detail = "unfinished data beside the finished data of an image";
                out.findings.push(Finding::of(&object, FindingKind::Leftover, detail));
            }
        } else if expected.size.is_some_and(|size| size != object.size) {
            let detail = format!("{} bytes by the database", expected.size.unwrap_or_default());
            out.findings.push(Finding::of(&object, FindingKind::WrongSize, &detail));
        } else {
            out.whole.push(expected.image.clone());
        }
    }
    for (name, expected) in &before.expected {
        if settled(before, after, name).is_some() && !finished.contains(name) {
            let Expected { image, location, url, size } = expected.clone();
            out.missing.push(Missing { image, location, url, size, partial: partial.contains(name) });
        }
    }
    for copy in before.astray.iter().filter(|copy| after.astray.contains(copy)) {
        out.findings.push(Finding {
            kind: FindingKind::Unreadable,
            name: copy.image.clone(),
            size: copy.size,
            detail: "its location is not one of this store".into(),
            deleted: false,
        });
    }
    // In the order of no hash table: two runs say the same.
    out.missing.sort_by(|a, b| a.image.cmp(&b.image));
    out.whole.sort();
    out
}

/// The copy of this name, if both readings have it.
fn settled<'a>(before: &'a Claims, after: &Claims, name: &str) -> Option<&'a Expected> {
    let first = before.expected.get(name)?;
    after.expected.get(name).filter(|second| second.location == first.location).map(|_| first)
}

/// As ids of images are written.
fn is_image_id(name: &str) -> bool {
    Uuid::try_parse(name).is_ok_and(|id| id.hyphenated().to_string().eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests;
