use super::*;

const ONE: &str = "11111111-1111-4111-8111-111111111111";
const TWO: &str = "22222222-2222-4222-8222-222222222222";

fn object(name: &str, size: u64, partial: bool) -> Object {
    Object { name: name.into(), url: format!("x:{name}"), size, partial, modified: None }
}

fn claims(expected: &[(&str, u64)], in_motion: &[&str]) -> Claims {
    let copy = |(name, size): &(&str, u64)| {
        let it = Expected {
            image: (*name).into(),
            location: format!("l-{name}"),
            url: format!("x:{name}"),
            size: Some(*size),
        };
        ((*name).to_owned(), it)
    };
    Claims {
        expected: expected.iter().map(copy).collect(),
        in_motion: in_motion.iter().map(|n| (*n).to_owned()).collect(),
        astray: Vec::new(),
    }
}

fn kinds(compared: &Compared) -> Vec<FindingKind> {
    compared.findings.iter().map(|f| f.kind).collect()
}

#[test]
fn what_both_readings_have_and_the_list_shows_is_whole() {
    let same = claims(&[(ONE, 4)], &[]);
    let compared = compare(&same, vec![object(ONE, 4, false)], &same);
    assert_eq!(compared, Compared { known: 1, whole: vec![ONE.into()], ..Compared::default() });
}

#[test]
fn only_what_neither_reading_has_is_unknown() {
    let (none, upload, copy) = (claims(&[], &[]), claims(&[], &[ONE]), claims(&[(ONE, 4)], &[]));
    let listed = || vec![object(ONE, 4, false)];
    assert_eq!(compare(&none, listed(), &none).unknown, listed());
    for (before, after) in [(&none, &upload), (&upload, &none), (&upload, &copy), (&copy, &none), (&none, &copy)] {
        let compared = compare(before, listed(), after);
        assert_eq!(compared, Compared { known: 1, ..Compared::default() }, "{before:?} {after:?}");
    }
}

#[test]
fn only_what_both_readings_have_is_missing() {
    let (none, copy) = (claims(&[], &[]), claims(&[(ONE, 4)], &[]));
    let compared = compare(&copy, vec![], &copy);
    assert_eq!((compared.missing.len(), compared.missing[0].image.as_str()), (1, ONE));
    for (before, after) in [(&none, &copy), (&copy, &none)] {
        assert_eq!(compare(before, vec![], after), Compared::default());
    }
    // Deleted from here, and put back with a location of its own: another copy.
    let mut again = claims(&[(ONE, 4)], &[]);
    again.expected.get_mut(ONE).unwrap().location = "l-2".into();
    assert_eq!(compare(&copy, vec![], &again), Compared::default());
}

#[test]
fn unfinished_data_is_not_the_data() {
    let copy = claims(&[(ONE, 4)], &[]);
    let compared = compare(&copy, vec![object(ONE, 2, true)], &copy);
    assert!(compared.missing[0].partial && compared.whole.is_empty() && compared.findings.is_empty());
    let compared = compare(&copy, vec![object(ONE, 2, true), object(ONE, 4, false)], &copy);
    assert_eq!((kinds(&compared), compared.missing.len()), (vec![FindingKind::Leftover], 0));
}

#[test]
fn sizes_names_and_astray_copies_are_told() {
    let mut copy = claims(&[(ONE, 4)], &[]);
    let compared = compare(&copy, vec![object(ONE, 5, false), object("readme", 1, false)], &copy);
    assert_eq!(kinds(&compared), [FindingKind::WrongSize, FindingKind::Foreign]);
    assert!(compared.whole.is_empty() && compared.unknown.is_empty() && compared.missing.is_empty());
    let astray = Expected { image: TWO.into(), location: "l".into(), url: "elsewhere".into(), size: None };
    copy.astray.push(astray);
    let compared = compare(&copy, vec![object(ONE, 4, false), object(TWO, 1, false)], &copy);
    assert_eq!((kinds(&compared), compared.unknown.len()), (vec![FindingKind::Unreadable], 0));
}

#[test]
fn ids_are_hyphenated_uuids() {
    assert!(is_image_id(ONE) && is_image_id("ABCDEFAB-1111-4111-8111-111111111111"));
    for other in ["11111111111141118111111111111111", "{11111111-1111-4111-8111-111111111111}", "a", ""] {
        assert!(!is_image_id(other), "{other}");
    }
}
