//! Format inspection: each format, each safety rule, any chunking, any damage.

mod damage;
mod differential;
mod images;
mod real;
mod rules;
mod safety;

use std::io::Write;

use fanlight::{
    config::Images,
    format::{Inspector, Refusal, Verdict},
};

/// The verdict on `data` in one chunk.
fn inspect(declared: &str, container: &str, rules: &Images, data: &[u8]) -> Result<Verdict, Refusal> {
    chunked(declared, container, rules, data, data.len().max(1))
}

/// The verdict on `data` in chunks of `len` bytes; a refusal before the end must hold at the end.
fn chunked(declared: &str, container: &str, rules: &Images, data: &[u8], len: usize) -> Result<Verdict, Refusal> {
    let mut inspector = Inspector::new(Some(declared), Some(container), rules);
    let mut early = None;
    for chunk in data.chunks(len) {
        inspector.feed(chunk);
        early = early.or_else(|| inspector.early());
    }
    let verdict = inspector.finish(data.len() as u64);
    assert!(early.is_none() || verdict.is_err(), "refused early: {early:?}, at the end: {verdict:?}");
    verdict
}

/// As a bare image under the rules that ship.
fn bare(declared: &str, data: &[u8]) -> Result<Verdict, Refusal> {
    inspect(declared, "bare", &Images::default(), data)
}

#[track_caller]
fn refused(result: Result<Verdict, Refusal>, text: &str) {
    let refusal = result.expect_err("refused").to_string();
    assert!(refusal.contains(text), "`{refusal}` does not say `{text}`");
}

#[track_caller]
fn passes(result: Result<Verdict, Refusal>, detected: &str, virtual_size: Option<u64>) {
    assert_eq!(result, Ok(Verdict { virtual_size, detected: verdict_name(detected) }));
}

/// The name as the verdict holds it.
fn verdict_name(name: &str) -> &'static str {
    let all = ["raw", "qcow2", "qed", "vhd", "vhdx", "vmdk", "vdi", "iso", "gpt", "luks"];
    all.into_iter().find(|n| *n == name).expect("a known format")
}

/// Says that a test did nothing, past the capture of test output.
fn not_run(why: &str) {
    writeln!(std::io::stderr(), "NOT RUN: {why}").expect("stderr is open");
}
