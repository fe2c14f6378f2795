//! Guests that run wild: each is ended by a limit that the error names, and nobody else notices.

use std::{
    thread,
    time::{Duration, Instant},
};

use fanlight::wasm::{CallError, Engine, Limit, Plugins};

use super::{MISBEHAVING, MOST_FREE, files, request};

/// The misbehaving plug-in beside the shipped one; it behaves well for every project but `bad`. On a machine that is
/// busy with other tests the default deadline may pass where another limit is meant.
fn pair(engine: &Engine, behave: &str, limits: &str) -> Plugins {
    let deadline = if limits.contains("deadline-ms") { "" } else { "deadline-ms = 1000" };
    let settings = format!("[limits]\n{limits}\n{deadline}\n[settings]\nbehave = \"{behave}\"\nonly-project = \"bad\"");
    let mut all = files("misbehaving", MISBEHAVING, &settings);
    all.extend(files("most-free", MOST_FREE, "order = 1\n[limits]\ndeadline-ms = 1000"));
    Plugins::load(&all, engine).map_err(|faults| format!("{faults:?}")).unwrap()
}

/// Calls the plug-in until it misbehaves; then its next call, and the other plug-in, must work.
fn wild(behave: &str, limits: &str) -> CallError {
    let engine = Engine::new().unwrap();
    let plugins = pair(&engine, behave, limits);
    let [bad, good] = plugins.placement() else { panic!("two plug-ins") };
    let error = bad.rank(&request("bad", 2)).expect_err("an error");
    assert_eq!(bad.rank(&request("other", 3)).expect("the next call").len(), 3);
    assert_eq!(good.rank(&request("bad", 2)).expect("the other plug-in").len(), 2);
    error
}

#[track_caller]
fn assert_limit(error: &CallError, limit: Limit, text: &str) {
    assert!(matches!(error, CallError::Limit(l) if *l == limit), "{error:?}");
    assert_eq!(error.to_string(), format!("plug-in hit its limit: {text}"));
}

#[test]
fn a_loop_runs_out_of_fuel() {
    assert_limit(&wild("loop", ""), Limit::Fuel(10_000_000), "fuel of 10000000");
}

#[test]
fn a_loop_with_fuel_to_spare_meets_the_deadline() {
    let began = Instant::now();
    let error = wild("loop", "fuel = 10_000_000_000\ndeadline-ms = 50");
    assert_limit(&error, Limit::Deadline(Duration::from_millis(50)), "deadline of 50 ms");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn a_memory_bomb_is_refused_its_memory() {
    assert_limit(&wild("memory", "memory-mib = 8"), Limit::Memory(8 << 20), "memory of 8388608 bytes");
}

#[test]
fn deep_recursion_traps() {
    // The stack of a Rust guest is in its linear memory; beyond it lies nothing.
    let error = wild("recurse", "fuel = 1_000_000_000");
    assert!(matches!(error, CallError::Trap(_) | CallError::Limit(Limit::Stack)), "{error:?}");
}

#[test]
fn a_panic_tells_its_text_through_the_log() {
    let text = wild("panic", "").to_string();
    assert!(text.starts_with("plug-in trapped: wasm `unreachable` instruction executed"), "{text}");
    assert!(text.contains("no store is good enough") && text.contains("lib.rs"), "{text}");
}

#[test]
fn too_much_output_is_refused() {
    let small = wild("large-output", "output-kib = 16\nmemory-mib = 16");
    assert_limit(&small, Limit::Output(16 << 10), "output of 16384 bytes");
    // More than crosses to the host at all.
    let huge = wild("huge-output", "output-kib = 16\nmemory-mib = 64\nfuel = 1_000_000_000\ndeadline-ms = 1000");
    assert_limit(&huge, Limit::Output(16 << 10), "output of 16384 bytes");
}

#[test]
fn bad_answers_are_told_apart() {
    let cases = [
        ("unknown-store", "plug-in gave a bad answer: a store that was not asked about (store 2)"),
        ("twice", "plug-in gave a bad answer: two verdicts on one store (store 0)"),
        ("score", "plug-in gave a bad answer: a score over 1000 (store 0)"),
        ("refuse", "plug-in failed: no mood"),
    ];
    for (behave, text) in cases {
        assert_eq!(wild(behave, "").to_string(), text);
    }
}

#[test]
fn a_log_flood_harms_nobody() {
    let engine = Engine::new().unwrap();
    let plugins = pair(&engine, "log-flood", "fuel = 1_000_000_000\ndeadline-ms = 1000");
    let answer = plugins.placement()[0].rank(&request("bad", 2)).unwrap();
    assert_eq!(answer.len(), 2);
}

#[test]
fn texts_of_a_guest_are_cut_and_tamed() {
    let engine = Engine::new().unwrap();
    let plugins = pair(&engine, "spoof", "");
    let answer = plugins.placement()[0].rank(&request("bad", 1)).unwrap();
    assert_eq!(answer[0].text.chars().count(), 512);
    assert!(answer[0].text.starts_with("first second"), "{}", answer[0].text);
}

#[test]
fn one_call_in_ten_traps_and_the_others_do_not() {
    let engine = Engine::new().unwrap();
    let plugins = pair(&engine, "panic", "deadline-ms = 1000");
    let [bad, good] = plugins.placement() else { panic!("two plug-ins") };
    thread::scope(|scope| {
        for worker in 0..8 {
            scope.spawn(move || {
                for n in 0..100 {
                    let evil = (n + worker) % 10 == 0;
                    let answer = bad.rank(&request(if evil { "bad" } else { "other" }, 4));
                    match answer {
                        Err(CallError::Trap(_)) => assert!(evil),
                        Ok(verdicts) => assert!(!evil && verdicts.len() == 4),
                        Err(other) => panic!("{other}"),
                    }
                    assert_eq!(good.rank(&request("bad", 4)).map_err(|e| e.to_string()).unwrap().len(), 4);
                }
            });
        }
    });
}
