//! The subcommands on folders of their own.

use std::path::PathBuf;

use clap::Parser;

use super::*;
use crate::cli::{Cli, Command};

struct Folder(tempfile::TempDir);

impl Folder {
    fn with(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self(folder)
    }

    fn path(&self) -> PathBuf {
        self.0.path().to_owned()
    }
}

fn exit(line: &[&str]) -> Exit {
    let Command::Policy(command) = Cli::parse_from(["fanlight", "policy"].iter().chain(line)).command else { panic!() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(run(&command)).unwrap()
}

fn faults(files: &[(&str, &str)]) -> Vec<String> {
    let folder = Folder::with(files);
    let found = find(&Source { folder: Some(folder.path()), ..Source::default() }).unwrap();
    let faults = match found.load() {
        Ok(policies) => crate::authz::review(&policies),
        Err(faults) => faults,
    };
    faults.iter().map(ToString::to_string).collect()
}

const ALL: &str = "@id(\"all\")\npermit (\n  principal,\n  action == Action::\"get_image\",\n  resource\n);\n";

#[test]
fn check_names_every_fault_with_its_line() {
    let found = faults(&[
        ("a.cedar", "@id(\"x\") permit (principal, action == Action::\"get_image\", resource);"),
        ("b.cedar", "\n@id(\"x\") permit (principal, action == Action::\"get_image\", resource);"),
        ("c.cedar", "@id(\"c\")\npermit (principal, action, resource) when { false };"),
        ("d.cedar", "@id(\"d\")\npermit (principal, action == Action::\"get_images\", resource is Image);"),
        ("e.cedar", "@id(\"e\")\npermit (principal, action, resource"),
    ]);
    for part in ["b.cedar:2: `@id(\"x\")` is taken by a.cedar:1", "c.cedar:", "d.cedar:", "e.cedar:"] {
        assert!(found.iter().any(|fault| fault.starts_with(part)), "{part}: {found:#?}");
    }
}

#[test]
fn check_finds_policies_that_decide_nothing() {
    let some = "@id(\"some\") permit (principal, action == Action::\"get_image\", resource) \
                when { principal.roles.contains(\"reader\") };";
    let wide = "@id(\"wide\") permit (principal, action in Action::\"read\", resource) \
                when { principal.roles.contains(\"reader\") };";
    let never = "@id(\"never\") forbid (principal, action == Action::\"get_image\", resource);";
    let masked = faults(&[("a.cedar", ALL), ("b.cedar", some)]);
    assert_eq!(masked, ["b.cedar:1: `some` decides nothing: `all` always applies; remove one or give it a condition"]);
    assert_eq!(faults(&[("a.cedar", ALL), ("b.cedar", wide)]), [""; 0], "it permits other actions");
    let forbidden = faults(&[("a.cedar", some), ("b.cedar", never)]);
    assert_eq!(forbidden.len(), 1, "{forbidden:?}");
    assert!(forbidden[0].contains("`some` decides nothing: `never`"), "{forbidden:?}");
    let twins = faults(&[("a.cedar", ALL), ("b.cedar", &ALL.replace("\"all\"", "\"bll\""))]);
    assert_eq!(twins.len(), 1, "one of two twins is enough: {twins:?}");
    assert!(twins[0].contains("`bll` decides nothing"), "{twins:?}");
}

#[test]
fn exit_codes_are_for_scripts() {
    let case = "[[case]]\naction = \"get_image\"\nimage = {}\ndecision = \"permit\"\n";
    let good = Folder::with(&[("a.cedar", ALL), ("tests/a.toml", case)]);
    let bad = Folder::with(&[("a.cedar", "permit"), ("tests/a.toml", case)]);
    let other = Folder::with(&[
        ("a.cedar", &ALL.replace("get_image", "get_images")),
        ("tests/a.toml", "[[case]]\naction = \"get_images\"\ndecision = \"deny\"\n"),
    ]);
    let [good, bad, other] = [&good, &bad, &other].map(|f| f.path().display().to_string());
    let rows: &[(&[&str], Exit)] = &[
        (&["check", &good], Exit::Done),
        (&["check", &good, "--json"], Exit::Done),
        (&["check", &bad], Exit::Failed),
        (&["check", "/nowhere"], Exit::Failed),
        (&["test", &good], Exit::Done),
        (&["test", &good, "--json"], Exit::Done),
        (&["test", &other], Exit::Failed),
        (&["test", &bad], Exit::Failed),
        (&["diff", &good, &good], Exit::Done),
        (&["diff", &good, &other], Exit::Failed),
        (&["diff", &good, &other, "--json"], Exit::Failed),
        (&["diff", &good, &bad], Exit::Usage),
        (&["explain", &good, "--action", "get_image", "--with", "owner=blue", "--with", "property.a=b"], Exit::Done),
        (&["explain", &good, "--action", "get_image", "--with", "colour=red"], Exit::Failed),
        (&["explain", &good, "--case", &format!("{good}/tests/a.toml"), "--json"], Exit::Done),
    ];
    for (line, want) in rows {
        assert_eq!(exit(line), *want, "{line:?}");
    }
}

#[test]
fn the_folder_of_a_first_start_passes_its_own_tests() {
    let files = Policies::seeds();
    let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), std::str::from_utf8(text).unwrap())).collect();
    let folder = Folder::with(&files);
    let path = folder.path().display().to_string();
    for line in [&["check", &path][..], &["test", &path], &["fmt", "--check", &path]] {
        assert_eq!(exit(line), Exit::Done, "{line:?}");
    }
    fs::remove_dir_all(folder.path().join("tests")).unwrap();
    assert_eq!(exit(&["test", &path]), Exit::Failed, "no case is no success");
}

#[test]
fn recorded_requests_are_asked_of_both_folders() {
    let old = Folder::with(&[("a.cedar", ALL)]);
    let new = Folder::with(&[("a.cedar", &ALL.replace(");", ") when { resource.visibility == \"public\" };"))]);
    let recording = Folder::with(&[
        ("same.jsonl", "{\"action\":\"get_image\",\"image\":{\"visibility\":\"public\"}}\n\n"),
        ("other.jsonl", "{\"action\":\"get_image\",\"image\":{\"visibility\":\"private\"}}\n"),
        ("broken.jsonl", "{\"action\":\"get_image\"\n"),
    ]);
    for (name, want) in [("same", Exit::Done), ("other", Exit::Failed), ("broken", Exit::Usage), ("none", Exit::Usage)]
    {
        let [old, new] = [&old, &new].map(|f| f.path().display().to_string());
        let requests = recording.path().join(format!("{name}.jsonl")).display().to_string();
        assert_eq!(exit(&["diff", &old, &new, "--requests", &requests]), want, "{name}");
    }
}

#[test]
fn fmt_changes_the_form_and_nothing_else() {
    let ugly = "// why\n@id(\"a\") permit(principal,action,resource) // who\nwhen{ principal.roles.contains(\"x\") };\n// end\n";
    let folder = Folder::with(&[("a.cedar", ugly)]);
    let path = folder.path().display().to_string();
    assert_eq!(exit(&["fmt", "--check", &path]), Exit::Failed);
    assert_eq!(fs::read_to_string(folder.path().join("a.cedar")).unwrap(), ugly, "--check changes nothing");
    assert_eq!(exit(&["fmt", &path]), Exit::Done);
    assert_eq!(exit(&["fmt", "--check", &path]), Exit::Done);
    let pretty = fs::read_to_string(folder.path().join("a.cedar")).unwrap();
    for comment in ["// why", "// who", "// end"] {
        assert!(pretty.contains(comment), "{pretty}");
    }
    assert_eq!(exit(&["fmt", &Folder::with(&[("b.cedar", "permit(")]).path().display().to_string()]), Exit::Failed);
}
