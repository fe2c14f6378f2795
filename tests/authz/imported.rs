//! A million random questions to Glance's own rules and to the policies that are made of them.

use std::time::{Duration, Instant};

use fanlight::{
    authz::Policies,
    import::{self, Mode, Original, Outcome, Protections, Rules},
};

const QUESTIONS: u64 = 1_000_000;

/// Sections in both of Glance's ways, as its documentation has them.
const PROTECTIONS: &str = "\
[^x_none_.*]
create = !
read = @
update = !
delete = !
[^x_owner_.*$]
create = admin, member
read = member
update = admin
delete = admin
[.*]
create = @
read = @
update = @
delete = @
";

/// Some minutes in a debug build: `cargo test --test integration -- --ignored a_million`.
#[test]
#[ignore = "takes minutes; `tests/run` runs it"]
fn a_million_questions_are_answered_alike() {
    let began = Instant::now();
    let rules = Rules::glance().unwrap();
    let protections = Protections::read("p.conf", PROTECTIONS, Mode::Roles).unwrap();
    let (mut files, outcomes) = import::write(&rules).unwrap();
    files.retain(|(name, _)| name != import::PROPERTIES);
    files.push((import::PROPERTIES.into(), protections.policies(&rules).unwrap()));
    let files: Vec<_> = files.into_iter().map(|(name, text)| (name, text.into_bytes())).collect();
    let policies = Policies::load(&files).unwrap();
    let converted = began.elapsed();
    assert_eq!(outcomes.iter().filter(|(_, o)| matches!(o, Outcome::Converted | Outcome::Part)).count(), 67);

    let original = Original { rules: &rules, protections: Some(&protections) };
    let findings = import::prove(original, &policies, QUESTIONS).unwrap();
    let sum = |of: fn(&import::Finding) -> u64| findings.values().map(of).sum::<u64>();
    let (asked, permitted, different) = (sum(|f| f.asked), sum(|f| f.permitted), sum(|f| f.differences));
    eprintln!(
        "{asked} questions in {:.0?} after {converted:.1?} of conversion: Glance permits {permitted}, {different} answers differ, \
         {} are stricter for a reported reason",
        began.elapsed(),
        sum(|f| f.stricter.values().sum()),
    );
    assert_eq!((asked, different), (QUESTIONS, 0), "{findings:#?}");
    assert!(permitted > asked / 10, "{permitted} permits say little");
    assert!(converted < Duration::from_secs(20), "{converted:?}");
}
