//! Our verdicts beside those of oslo.utils, the library that Glance, Nova and Cinder inspect images with.
//!
//! Runs when `FANLIGHT_TEST_PYTHON` names a Python that has oslo.utils; says so when not.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use super::{bare, images};

/// Reads images, each behind its length, and prints `safe NAME`, `unsafe NAME` or `error` for each.
const ORACLE: &str = r#"
import io, logging, struct, sys
from oslo_utils.imageutils import format_inspector as fi
logging.disable(logging.CRITICAL)

def verdict(data):
    wrapper = fi.InspectWrapper(io.BytesIO(data))
    while wrapper.read(65536):
        pass
    wrapper.close()
    try:
        names = {str(i) for i in wrapper.formats}
        found = [i for i in wrapper.formats if str(i) == 'iso'][0] if names == {'iso', 'gpt'} else wrapper.format
        found.safety_check()
        return 'safe %s' % found
    except fi.SafetyCheckFailed:
        return 'unsafe %s' % found
    except Exception:
        return 'error'

while head := sys.stdin.buffer.read(8):
    print(verdict(sys.stdin.buffer.read(*struct.unpack('<Q', head))), flush=True)
"#;

/// What the library says of each image.
fn oracle(python: &str, images: &[Vec<u8>]) -> Vec<String> {
    let mut child = Command::new(python)
        .args(["-c", ORACLE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the Python runs");
    let mut stdin = child.stdin.take().expect("piped");
    for image in images {
        stdin.write_all(&(image.len() as u64).to_le_bytes()).expect("read");
        stdin.write_all(image).expect("read");
    }
    drop(stdin);
    let output = child.wait_with_output().expect("ends");
    assert!(output.status.success(), "the oracle failed");
    let answers: Vec<String> = String::from_utf8(output.stdout).expect("ASCII").lines().map(str::to_owned).collect();
    assert_eq!(answers.len(), images.len());
    answers
}

fn python() -> Option<String> {
    let python = std::env::var("FANLIGHT_TEST_PYTHON").ok();
    if python.is_none() {
        super::not_run("FANLIGHT_TEST_PYTHON is not set, verdicts were not compared with oslo.utils");
    }
    python
}

/// What the library refuses in a `raw` image, we refuse too. We may refuse more.
#[test]
fn damaged_images_that_oslo_utils_refuses_are_refused() {
    let Some(python) = python() else { return };
    let mut seed = 0x2026_u64;
    let mut next = move |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    let mut cases = Vec::new();
    for _ in 0..40 {
        for (name, mut image) in images::all() {
            if name == "vhdx" && next(8) != 0 {
                continue;
            }
            for _ in 0..=next(3) {
                let far = next(4) == 0;
                let at = next(if far { image.len() } else { 700.min(image.len()) });
                let other = next(256) as u8;
                image[at] = [0, 1, 0x55, 0xff, b'/', b'\n', other][next(7)];
            }
            cases.push(image);
        }
    }
    let mut refused = 0;
    for (image, theirs) in cases.iter().zip(oracle(&python, &cases)) {
        let ours = bare("raw", image);
        if theirs.starts_with("safe") {
            continue;
        }
        refused += 1;
        assert!(ours.is_err(), "theirs: {theirs}, ours: {ours:?}, image begins {:02x?}", image.get(..64));
    }
    assert!(refused > 20, "only {refused} cases were refused");
}

#[test]
fn what_oslo_utils_finds_unsafe_or_other_we_do_too() {
    let Some(python) = python() else { return };
    let mut cases: Vec<Vec<u8>> = images::all().into_iter().map(|(_, image)| image).collect();
    let mut bent = |mut image: Vec<u8>, at: usize, bytes: &[u8]| {
        images::set(&mut image, at, bytes);
        cases.push(image);
    };
    bent(images::qcow2(3), 8, &[1; 8]);
    for bit in 0..8 {
        bent(images::qcow2(3), 79, &[1 << bit]);
    }
    bent(images::mbr(0x83, 1), 446, &[7]);
    bent(images::mbr(0xee, 1), 447, &[7]);
    bent(images::mbr(0xee, 1), 466, &[7]);
    bent(images::iso(), 0, &images::mbr(0xee, 1)[..512]);
    bent(images::iso(), 0, &images::qcow2(3)[..512]);
    let stream = images::vmdk_stream().len();
    bent(images::vmdk_stream(), stream - 1024, b"x");
    bent(images::vmdk_stream(), stream - 1, b"x");
    cases.extend([images::qed(), images::luks(2), images::mbr(0, 0), images::qcow2(1), vec![0; 4096]]);
    cases.push(images::vmdk(&images::descriptor("monolithicFlat")));
    let theirs = oracle(&python, &cases);
    for (number, (image, theirs)) in cases.iter().zip(theirs).enumerate() {
        let ours = match bare("raw", image) {
            Ok(verdict) => format!("safe {}", verdict.detected),
            Err(refusal) if refusal.to_string().contains("several formats") => "error".to_owned(),
            Err(refusal) => {
                let name = refusal.to_string().split('`').nth(1).expect("named").to_owned();
                format!("unsafe {name}")
            }
        };
        assert_eq!(ours, theirs, "case {number}");
    }
}
