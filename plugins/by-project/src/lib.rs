//! An example to start from: the settings say which store takes the images of which project.
//!
//! `blue = "beta"` sends the images of project `blue` to store `beta`; `*` stands for all other projects. A project that
//! no setting names may use every store.

wit_bindgen::generate!({ path: "../../wit", world: "placement" });

struct ByProject;

impl Guest for ByProject {
    fn describe() -> Description {
        Description {
            name: "by-project".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "pins the images of a project to a store".into(),
        }
    }

    fn validate_settings(settings: Settings) -> Result<(), String> {
        match settings.iter().find(|(_, store)| store.is_empty()) {
            Some((project, _)) => Err(format!("no store is named for project `{project}`")),
            None => Ok(()),
        }
    }

    fn rank(request: Request, settings: Settings) -> Result<Vec<Verdict>, String> {
        let project = request.image.project.as_deref().unwrap_or("");
        let store_of = |key: &str| settings.iter().find(|(k, _)| k == key).map(|(_, store)| store.as_str());
        let pinned = store_of(project).or_else(|| store_of("*"));
        let judge = |(index, store): (usize, &fanlight::placement::types::Store)| {
            let accepted = pinned.is_none_or(|p| p == store.id);
            Verdict {
                store: index as u32,
                accepted,
                score: if accepted { 500 } else { 0 },
                code: if accepted { "pinned" } else { "pinned-elsewhere" }.into(),
                text: format!("project `{project}` uses {}", pinned.unwrap_or("any store")),
            }
        };
        Ok(request.stores.iter().enumerate().map(judge).collect())
    }
}

export!(ByProject);
