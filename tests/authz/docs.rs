//! The examples of the guide, as they are written there, and the reference, which is written by the schema.

use std::{fmt::Write, path::Path};

use fanlight::{
    authz::{self, Policies, cases},
    cli::standard_form,
};
use serde_json::Value;

const GUIDE: &str = include_str!("../../docs/policies.md");

/// The fenced blocks of one language in a text.
fn blocks<'t>(text: &'t str, language: &str) -> Vec<&'t str> {
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

#[test]
fn every_example_of_the_guide_holds() {
    let examples: Vec<_> = GUIDE.split("\n### ").filter(|section| section.contains("```cedar")).collect();
    assert_eq!(examples.len(), 5);
    for example in examples {
        let title = example.lines().next().unwrap();
        let policy = blocks(example, "cedar").concat();
        assert_eq!(standard_form(&policy).unwrap(), policy, "{title}");
        let mut files: Vec<_> = Policies::shipped().into_iter().filter(|(name, _)| name.ends_with(".cedar")).collect();
        let before = Policies::load(&files).unwrap();
        files.push(("example.cedar".into(), policy.into_bytes()));
        let classes = blocks(example, "toml property-classes.toml").concat();
        if !classes.is_empty() {
            files.push(("property-classes.toml".into(), classes.into_bytes()));
        }
        let after = Policies::load(&files).unwrap_or_else(|faults| panic!("{title}: {faults:?}"));
        assert_eq!(authz::review(&after), [], "{title}");

        let text = blocks(example, "toml").concat();
        let cases = cases::read(&[("example.toml".into(), text.into_bytes())]).unwrap();
        let report = cases::run(&after, &cases).unwrap();
        let failed: Vec<_> = report.failed().map(|t| (&t.name, &t.answer)).collect();
        assert!(failed.is_empty(), "{title}: {failed:?}");
        let new = |id: &&String| !before.ids().contains(id);
        let uncovered: Vec<_> = report.uncovered.iter().filter(new).collect();
        assert!(uncovered.is_empty(), "{title}: {uncovered:?}");
        assert!(cases::run(&before, &cases).unwrap().failed().next().is_some(), "{title}: the example changes nothing");
    }
}

#[test]
fn the_reference_is_what_the_schema_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/policy-reference.md");
    let want = reference();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &want).unwrap();
    }
    let is = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(is, want, "run `UPDATE_GOLDEN=1 cargo test the_reference` and read the difference");
}

fn reference() -> String {
    let source =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/schema.cedarschema")).unwrap();
    let (fragment, _) = cedar_policy::SchemaFragment::from_cedarschema_str(&source).unwrap();
    let json = fragment.to_json_value().unwrap();
    let schema = &json[""];
    let mut out = String::from(
        "# What policies can speak of\n\nWritten from `policies/schema.cedarschema` by a test; `?` marks what may be absent, to be asked for with \
         `has` first.\n\n## Actions\n\n`principal` is always a `User`.\n\n| action | resource | group | context | what it is |\n| --- | --- | --- | --- | --- |\n",
    );
    let mut actions: Vec<_> = schema["actions"].as_object().unwrap().iter().collect();
    actions.sort_by_key(|(name, _)| *name);
    for (name, action) in actions {
        // Groups are no actions of the code.
        let Ok(known) = name.parse::<authz::Action>() else { continue };
        let applies = &action["appliesTo"];
        let groups = names(action["memberOf"].as_array(), |g| g["id"].as_str().unwrap().to_owned());
        let context =
            attributes(&applies["context"]).into_iter().map(|(n, t)| format!("`{n}`: {t}")).collect::<Vec<_>>();
        let about = known.about();
        let resources = names(applies["resourceTypes"].as_array(), |r| r.as_str().unwrap().to_owned());
        writeln!(out, "| `{name}` | {resources} | {groups} | {} | {about} |", context.join(", ")).unwrap();
    }
    out.push_str("\n## Entities\n");
    let mut entities: Vec<_> = schema["entityTypes"].as_object().unwrap().iter().collect();
    entities.sort_by_key(|(name, _)| *name);
    for (name, entity) in entities {
        write!(out, "\n### {name}\n\n").unwrap();
        if let Some(parents) = entity["memberOfTypes"].as_array().filter(|p| !p.is_empty()) {
            writeln!(out, "In: {}.\n", names(Some(parents), |p| p.as_str().unwrap().to_owned())).unwrap();
        }
        let attributes = attributes(&entity["shape"]);
        if !attributes.is_empty() {
            out.push_str("| attribute | type |\n| --- | --- |\n");
            for (attribute, kind) in &attributes {
                writeln!(out, "| `{attribute}` | {kind} |").unwrap();
            }
        }
        if !entity["tags"].is_null() {
            let gap = if attributes.is_empty() { "" } else { "\n" };
            writeln!(out, "{gap}Tags: any name, each a {}.", kind(&entity["tags"])).unwrap();
        }
        if attributes.is_empty() && entity["tags"].is_null() {
            out.push_str("Only its id.\n");
        }
    }
    out
}

fn names(list: Option<&Vec<Value>>, name: impl Fn(&Value) -> String) -> String {
    let mut all: Vec<_> = list.into_iter().flatten().map(|one| format!("`{}`", name(one))).collect();
    all.sort();
    all.join(", ")
}

fn attributes(record: &Value) -> Vec<(String, String)> {
    let all = record["attributes"].as_object().into_iter().flatten();
    let mut all: Vec<_> = all
        .map(|(name, of)| {
            let mark = if of["required"] == false { "?" } else { "" };
            (format!("{name}{mark}"), kind(of))
        })
        .collect();
    all.sort();
    all
}

/// `Set<Project>`, `String` …
fn kind(of: &Value) -> String {
    match of["type"].as_str().unwrap() {
        "Set" => format!("set of {}", kind(&of["element"])),
        "EntityOrCommon" | "Entity" => format!("`{}`", of["name"].as_str().unwrap()),
        other => format!("`{other}`"),
    }
}
