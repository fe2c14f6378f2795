use jiff::Timestamp;

use super::*;

fn candidate(id: &str, weight: i32, free: u64) -> Candidate {
    Candidate {
        facts: StoreFacts { id: id.into(), kind: "file".into(), ..StoreFacts::default() },
        weight,
        state: StoreState::Up,
        healthy: true,
        total: 1000,
        free,
        in_flight: 0,
        latency_us: 0,
    }
}

fn order(candidates: &[Candidate]) -> Vec<String> {
    builtin::rank(&candidates.iter().collect::<Vec<_>>()).into_iter().map(|v| v.store).collect()
}

#[test]
fn built_in_goes_by_weight_then_room_then_id() {
    let stores = [candidate("c", 0, 500), candidate("a", 0, 500), candidate("b", 0, 900), candidate("z", 1, 1)];
    assert_eq!(order(&stores), ["z", "b", "a", "c"]);
}

fn refused(codes: &[&str]) -> Kind {
    let verdicts: Vec<_> = codes.iter().map(|code| Verdict::rejected("s", code, "x")).collect();
    let image = crate::image::NewImage::default();
    let image = image.into_image(None, Timestamp::UNIX_EPOCH);
    refusal(&Request { image: &image, size: None, explicit: None }, &verdicts).kind()
}

#[test]
fn a_refusal_tells_denial_fault_and_lack_of_room_apart() {
    assert_eq!(refused(&["not-permitted", "not-permitted"]), Kind::Forbidden);
    assert_eq!(refused(&["not-permitted", "full"]), Kind::TooLarge);
    assert_eq!(refused(&["full", "down"]), Kind::Unavailable);
    assert_eq!(refused(&["draining"]), Kind::Unavailable);
    assert_eq!(refused(&["wrong-class"]), Kind::Conflict);
}

#[test]
fn a_refusal_is_silent_about_stores_that_are_not_permitted() {
    let verdicts = [Verdict::rejected("hidden", "not-permitted", "x"), Verdict::rejected("seen", "full", "0 free")];
    let image = crate::image::NewImage::default().into_image(None, Timestamp::UNIX_EPOCH);
    let error = refusal(&Request { image: &image, size: None, explicit: None }, &verdicts);
    assert!(error.message().contains("seen") && !error.message().contains("hidden"), "{error}");
}
