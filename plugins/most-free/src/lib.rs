//! The shipped placement plug-in: the store with the largest share of free room, corrected by the operator's weights and
//! by the uploads under way, which have their room before them: without that, all that comes between two looks at the
//! room would go to one store.
//!
//! An image that asks for a class by its property `storage_class` goes only to stores whose label `class` says the same.
//!
//! Settings: `weight-points` (default 100): points of 1000 that one unit of weight is worth; `upload-points` (default 5):
//! what one upload under way costs.

wit_bindgen::generate!({ path: "../../wit", world: "placement" });

use fanlight::placement::types::Store;

struct MostFree;

const CLASS_PROPERTY: &str = "storage_class";
const CLASS_LABEL: &str = "class";
/// Names and defaults of the settings.
const WEIGHT_POINTS: (&str, i64) = ("weight-points", 100);
const UPLOAD_POINTS: (&str, i64) = ("upload-points", 5);

impl Guest for MostFree {
    fn describe() -> Description {
        Description {
            name: "most-free".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "most free room first, corrected by weight and uploads; honours the property storage_class".into(),
        }
    }

    fn validate_settings(settings: Settings) -> Result<(), String> {
        for (key, _) in &settings {
            if ![WEIGHT_POINTS.0, UPLOAD_POINTS.0].contains(&key.as_str()) {
                return Err(format!("unknown setting `{key}`; known: {}, {}", WEIGHT_POINTS.0, UPLOAD_POINTS.0));
            }
        }
        Points::read(&settings).map(drop)
    }

    fn rank(request: Request, settings: Settings) -> Result<Vec<Verdict>, String> {
        let points = Points::read(&settings)?;
        let class = lookup(&request.image.properties, CLASS_PROPERTY);
        let size = request.image.size.unwrap_or(0);
        let fits = |store: &Store| class.is_none() || class_of(store) == class;
        let scores: Vec<Option<i64>> = request.stores.iter().map(|s| fits(s).then(|| points.of(s, size))).collect();
        // The best has 1000 at most, and the others keep their distance.
        let excess = scores.iter().flatten().max().map_or(0, |best| (best - 1000).max(0));
        let judge = |((index, store), score): ((u32, &Store), Option<i64>)| match score {
            Some(score) => accepted(index, store, share(store, size), score - excess),
            None => wrong_class(index, store, class),
        };
        Ok((0..).zip(&request.stores).zip(scores).map(judge).collect())
    }
}

/// What the settings say.
struct Points {
    weight: i64,
    upload: i64,
}

impl Points {
    fn read(settings: &[(String, String)]) -> Result<Self, String> {
        Ok(Self { weight: points(settings, WEIGHT_POINTS)?, upload: points(settings, UPLOAD_POINTS)? })
    }

    fn of(&self, store: &Store, size: u64) -> i64 {
        share(store, size) + i64::from(store.weight) * self.weight - i64::from(store.in_flight) * self.upload
    }
}

/// Of 1000, what is free when the image is there.
fn share(store: &Store, size: u64) -> i64 {
    let after = u128::from(store.free.saturating_sub(size)) * 1000;
    after.checked_div(store.total.into()).unwrap_or(0) as i64
}

fn accepted(store: u32, facts: &Store, share: i64, points: i64) -> Verdict {
    let text = format!("{share} of 1000 free afterwards, weight {}, {} uploads", facts.weight, facts.in_flight);
    Verdict { store, accepted: true, score: points.clamp(0, 1000) as u32, code: "free".into(), text }
}

fn wrong_class(store: u32, facts: &Store, wanted: Option<&str>) -> Verdict {
    let (own, wanted) = (class_of(facts).unwrap_or("not set"), wanted.unwrap_or_default());
    let text = format!("class is {own}, the image asks for {wanted}");
    Verdict { store, accepted: false, score: 0, code: "wrong-class".into(), text }
}

fn class_of(store: &Store) -> Option<&str> {
    lookup(&store.labels, CLASS_LABEL)
}

fn points(settings: &[(String, String)], (name, default): (&str, i64)) -> Result<i64, String> {
    match lookup(settings, name) {
        None => Ok(default),
        Some(text) => match text.parse() {
            Ok(points @ 0..=1000) => Ok(points),
            _ => Err(format!("`{name}` is `{text}`, expected 0 to 1000")),
        },
    }
}

fn lookup<'a>(pairs: &'a [(String, String)], key: &str) -> Option<&'a str> {
    pairs.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
}

export!(MostFree);
