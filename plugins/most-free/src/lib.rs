//! The shipped placement plug-in: the store with the largest share of free room, corrected by the operator's weights.
//!
//! An image that asks for a class by its property `storage_class` goes only to stores whose label `class` says the same.
//!
//! Settings: `weight-points` (default 100): points of 1000 that one unit of weight is worth.

wit_bindgen::generate!({ path: "../../wit", world: "placement" });

use fanlight::placement::types::{Image, Store};

struct MostFree;

const CLASS_PROPERTY: &str = "storage_class";
const CLASS_LABEL: &str = "class";
const WEIGHT_POINTS: &str = "weight-points";

impl Guest for MostFree {
    fn describe() -> Description {
        Description {
            name: "most-free".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "most free room first, corrected by weight; honours the property storage_class".into(),
        }
    }

    fn validate_settings(settings: Settings) -> Result<(), String> {
        for (key, _) in &settings {
            if key != WEIGHT_POINTS {
                return Err(format!("unknown setting `{key}`; known: {WEIGHT_POINTS}"));
            }
        }
        weight_points(&settings).map(drop)
    }

    fn rank(request: Request, settings: Settings) -> Result<Vec<Verdict>, String> {
        let points = weight_points(&settings)?;
        let class = lookup(&request.image.properties, CLASS_PROPERTY);
        let judge = |(index, store)| judge(index as u32, store, &request.image, class, points);
        Ok(request.stores.iter().enumerate().map(judge).collect())
    }
}

fn judge(index: u32, store: &Store, image: &Image, class: Option<&str>, points: i64) -> Verdict {
    let own = lookup(&store.labels, CLASS_LABEL);
    if let Some(class) = class
        && own != Some(class)
    {
        let text = format!("class is {}, the image asks for {class}", own.unwrap_or("not set"));
        return Verdict { store: index, accepted: false, score: 0, code: "wrong-class".into(), text };
    }
    let after = store.free.saturating_sub(image.size.unwrap_or(0));
    let share = (u128::from(after) * 1000).checked_div(u128::from(store.total)).unwrap_or(0);
    let score = (share as i64 + i64::from(store.weight) * points).clamp(0, 1000);
    let text = format!("{share} of 1000 free afterwards, weight {}", store.weight);
    Verdict { store: index, accepted: true, score: score as u32, code: "free".into(), text }
}

fn weight_points(settings: &[(String, String)]) -> Result<i64, String> {
    match lookup(settings, WEIGHT_POINTS) {
        None => Ok(100),
        Some(text) => match text.parse() {
            Ok(points @ 0..=1000) => Ok(points),
            _ => Err(format!("`{WEIGHT_POINTS}` is `{text}`, expected 0 to 1000")),
        },
    }
}

fn lookup<'a>(pairs: &'a [(String, String)], key: &str) -> Option<&'a str> {
    pairs.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
}

export!(MostFree);
