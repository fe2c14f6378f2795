//! Classes of custom properties, by patterns of names: the operator says once which names belong together, and policies
//! speak of the class (`resource.classes.contains("licence")`). The file lies beside the policies and is a part of their
//! generation.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::rules::Fault;

/// Name of the file.
pub(crate) const FILE: &str = "property-classes.toml";
/// Patterns of all classes: each is held against every name.
const PATTERNS_MAX: usize = 256;
/// Characters of a class or a pattern: no name is longer.
const TEXT_MAX: usize = 255;

/// Patterns by class.
#[derive(Debug, Default)]
pub(super) struct Classes(BTreeMap<String, BTreeSet<String>>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    property_classes: BTreeMap<String, BTreeSet<String>>,
}

impl Classes {
    /// Those of the file among `files`; none without one.
    pub(super) fn read(files: &[(String, Vec<u8>)]) -> Result<Self, Vec<Fault>> {
        let Some((_, bytes)) = files.iter().find(|(name, _)| name == FILE) else { return Ok(Self::default()) };
        let refused = |line, text: String| Err(vec![Fault::new(FILE, line, text)]);
        let Ok(text) = std::str::from_utf8(bytes) else { return refused(None, "the file is not UTF-8".into()) };
        let File { property_classes: classes } = match toml::from_str(text) {
            Ok(file) => file,
            Err(error) => {
                let line = error.span().map(|s| 1 + text.bytes().take(s.start).filter(|b| *b == b'\n').count());
                return refused(line, error.message().to_owned());
            }
        };
        let words = classes.iter().flat_map(|(class, patterns)| patterns.iter().chain([class]));
        if let Some(word) = words.into_iter().find(|word| word.is_empty() || word.chars().count() > TEXT_MAX) {
            return refused(None, format!("`{word}` is empty, or longer than {TEXT_MAX} characters"));
        }
        let patterns: usize = classes.values().map(BTreeSet::len).sum();
        if patterns > PATTERNS_MAX {
            return refused(None, format!("{patterns} patterns are more than {PATTERNS_MAX}"));
        }
        Ok(Self(classes))
    }

    /// The classes that the property `name` is in.
    pub(super) fn of(&self, name: &str) -> impl Iterator<Item = &str> {
        let holds = move |patterns: &BTreeSet<String>| patterns.iter().any(|pattern| matches(pattern, name));
        self.0.iter().filter(move |(_, patterns)| holds(patterns)).map(|(class, _)| class.as_str())
    }

    /// What is here and not in `next`, as `class: pattern`.
    pub(super) fn missing_in(&self, next: &Self) -> Vec<String> {
        let there = |class: &str, pattern: &str| next.0.get(class).is_some_and(|all| all.contains(pattern));
        let all = self.0.iter().flat_map(|(class, all)| all.iter().map(move |pattern| (class, pattern)));
        all.filter(|(class, pattern)| !there(class, pattern)).map(|(class, it)| format!("{class}: {it}")).collect()
    }

    /// Names that are in some class.
    pub(super) fn examples(&self) -> impl Iterator<Item = String> {
        self.0.values().flatten().map(|pattern| pattern.replace('*', "x"))
    }
}

/// `*` stands for anything of any length, every other character for itself.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut rest) = name.strip_prefix(head) else { return false };
    let (middle, end) = tail.rsplit_once('*').unwrap_or(("", tail));
    for part in middle.split('*') {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        authz::{self, Action, Policies, Resource, tests},
        image::Visibility,
    };

    fn read(text: &str) -> Result<Classes, Vec<Fault>> {
        Classes::read(&[(FILE.into(), text.as_bytes().to_vec())])
    }

    #[test]
    fn patterns() {
        for (pattern, yes, no) in [
            ("os_distro", "os_distro", "os_distro_"),
            ("lic*", "lic", "os_lic"),
            ("*_key", "a_key", "a_keys"),
            ("*", "", "\0none"),
            ("a*b*c", "abbc", "acb"),
            ("a*a", "aa", "a"),
            ("*key*", "my_key_1", "ke_y"),
            ("é*🦀", "é..🦀", "e..🦀"),
        ] {
            assert!(matches(pattern, yes), "{pattern} {yes}");
            assert!(no.starts_with('\0') || !matches(pattern, no), "{pattern} {no}");
        }
    }

    #[test]
    fn what_is_wrong_with_the_file_is_said() {
        let fault = |text: &str| read(text).unwrap_err().remove(0).to_string();
        insta::assert_snapshot!(fault("[property_classes]\na = [\"x\"]\na = 1\n"), @"property-classes.toml:3: duplicate key");
        insta::assert_snapshot!(fault("[property_classes]\na = \"x\"\n"), @r#"property-classes.toml:2: invalid type: string "x", expected a sequence"#);
        insta::assert_snapshot!(fault("[property_class]\na = [\"x\"]\n"), @"property-classes.toml:1: unknown field `property_class`, expected `property_classes`");
        insta::assert_snapshot!(fault("[property_classes]\na = [\"\"]\n"), @"property-classes.toml: `` is empty, or longer than 255 characters");
        let many: Vec<_> = (0..=PATTERNS_MAX).map(|n| format!("\"p{n}\"")).collect();
        insta::assert_snapshot!(fault(&format!("[property_classes]\na = [{}]\n", many.join(","))), @"property-classes.toml: 257 patterns are more than 256");
    }

    #[test]
    fn a_policy_speaks_of_a_class() {
        let files = |classes: &str| {
            let mut all: Vec<_> =
                Policies::shipped().into_iter().filter(|(name, _)| name.ends_with(".cedar")).collect();
            let rule = r#"@id("licence") forbid (principal, action == Action::"read_property", resource)
                when { resource.classes.contains("licence") };"#;
            all.extend([("more.cedar".into(), rule.into()), (FILE.into(), classes.into())]);
            all
        };
        let classes = "[property_classes]\nlicence = [\"licence_*\", \"*_serial\"]\nother = [\"*\"]\n";
        let ctx = tests::context(&files(classes), &["reader"]);
        let image = tests::image(Some("blue"), Visibility::Private);
        let names = ["licence_key", "os_serial", "os_distro"];
        // Twice: the second time from what is kept by name.
        for _ in 0..2 {
            let readable = authz::allows_properties(&ctx, Action::ReadProperty, &image, &names).unwrap();
            assert_eq!(readable, [false, false, true]);
        }
        let one = |name| authz::allows(&ctx, Action::ReadProperty, Resource::Property(&image, name)).unwrap();
        assert!(!one("licence_key") && one("os_distro"));

        let next = tests::context(&files("[property_classes]\nlicence = [\"licence_*\"]\n"), &[]);
        let missing = ctx.rules.policies.missing_in(&next.rules.policies);
        assert_eq!(missing[FILE], ["licence: *_serial", "other: *"]);
    }
}
