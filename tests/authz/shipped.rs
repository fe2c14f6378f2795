//! The shipped policies as an operator finds them: reviewed, formatted, and every one of them reached by a case.

use fanlight::authz::{self, Policies, cases};

fn shipped() -> Policies {
    let files: Vec<_> = Policies::shipped().into_iter().filter(|(name, _)| name.ends_with(".cedar")).collect();
    Policies::load(&files).unwrap()
}

#[test]
fn every_shipped_policy_decides_a_case() {
    let cases = cases::read(&Policies::shipped_cases()).unwrap();
    let report = cases::run(&shipped(), &cases).unwrap();
    let failed: Vec<_> = report.failed().map(|t| format!("{} {} {:?}", t.at, t.name, t.answer)).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(report.uncovered.is_empty(), "no case is decided by {:?}", report.uncovered);
    assert!(report.cases.len() > 200);
}

#[test]
fn no_shipped_policy_is_pointless() {
    assert_eq!(authz::review(&shipped()), []);
}

#[test]
fn the_shipped_policies_are_in_the_standard_form() {
    for (name, bytes) in Policies::shipped().into_iter().filter(|(name, _)| name.ends_with(".cedar")) {
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(fanlight::cli::standard_form(&text).unwrap(), text, "{name}: run `fanlight policy fmt policies`");
    }
}
