//! Files that are not plug-ins: refused with a reason, quickly, and never by a panic of the host.

use std::{
    fmt::Write,
    time::{Duration, Instant},
};

use fanlight::wasm::{Engine, Plugins};
use rand::{RngExt, SeedableRng, rngs::SmallRng};

use super::{MOST_FREE, fault, files, request};

#[track_caller]
fn refused(wasm: &[u8], text: &str) {
    let fault = fault("x", wasm, "");
    assert_eq!(fault.file, "x.wasm", "{fault}");
    assert!(fault.text.contains(text), "{fault}");
}

#[test]
fn what_is_no_component_is_said_so() {
    refused(b"", "is not a WebAssembly component");
    refused(b"#!/bin/sh\nexit 0\n", "is not a WebAssembly component");
    refused(&wat::parse_str("(module)").unwrap(), "is not a WebAssembly component");
    refused(&MOST_FREE[..8], "does not fit world");
    refused(&MOST_FREE[..MOST_FREE.len() / 2], "is not a valid component");
    refused(&vec![0; (4 << 20) + 1], "bytes, at most 4194304 are taken");
}

#[test]
fn another_world_is_refused_by_name() {
    refused(&wat::parse_str("(component)").unwrap(), "does not fit world `fanlight:placement@1.0.0`");
    let wasi = "(component (import \"wasi:cli/environment@0.2.0\" (instance (export \"f\" (func)))))";
    refused(&wat::parse_str(wasi).unwrap(), "wasi:cli/environment@0.2.0");
}

/// A component around `n` functions with `body`.
fn bomb(n: usize, body: &str) -> Vec<u8> {
    let mut text = String::from("(component (core module ");
    for _ in 0..n {
        write!(text, "(func {body})").unwrap();
    }
    text.push_str("))");
    wat::parse_str(&text).unwrap()
}

#[test]
fn a_compile_bomb_is_refused_before_it_is_compiled() {
    let many = bomb(20_001, "(drop (i32.const 1))");
    let huge = bomb(1, &"(drop (i32.const 1))".repeat(100_000));
    let nested = format!("(component {})", "(component)".repeat(101));
    let nested = wat::parse_str(&nested).unwrap();
    let began = Instant::now();
    refused(&many, "has more than 20000 functions");
    refused(&huge, "has a function of");
    refused(&nested, "has more than 100 modules");
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[test]
fn mutated_components_never_harm_the_host() {
    let engine = Engine::new().unwrap();
    let mut random = SmallRng::seed_from_u64(7);
    let (mut refused, mut ran) = (0, 0);
    for _ in 0..100 {
        let mut wasm = MOST_FREE.to_vec();
        for _ in 0..random.random_range(1..=8) {
            let at = random.random_range(8..wasm.len());
            wasm[at] = random.random();
        }
        // The digest is that of the mutated bytes: it is the sandbox that is tried here.
        match Plugins::load(&files("most-free", &wasm, ""), &engine) {
            Ok(plugins) => {
                ran += 1;
                drop(plugins.placement()[0].rank(&request("blue", 3)));
            }
            Err(faults) => {
                refused += 1;
                assert_eq!(faults.len(), 1, "{faults:?}");
                assert!(!faults[0].text.is_empty());
            }
        }
    }
    assert_eq!(refused + ran, 100);
    assert!(refused > 50, "{refused}");
    let good = Plugins::load(&files("most-free", MOST_FREE, ""), &engine).map_err(|f| format!("{f:?}")).unwrap();
    assert_eq!(good.placement()[0].rank(&request("blue", 3)).unwrap().len(), 3);
}
