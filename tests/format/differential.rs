//! Our verdicts beside those of oslo.utils, the library that Glance, Nova and Cinder inspect images with.
//!
//! Runs when `FANLIGHT_TEST_PYTHON` names a Python that has oslo.utils; says so when not.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use super::{bare, images};

/// Reads one file whole and prints `safe NAME`, `unsafe NAME` or `error`.
const ORACLE: &str = r#"
import io, logging, sys
from oslo_utils.imageutils import format_inspector as fi
logging.disable(logging.CRITICAL)
data = sys.stdin.buffer.read()
wrapper = fi.InspectWrapper(io.BytesIO(data))
while wrapper.read(65536):
    pass
wrapper.close()
try:
    names = {str(i) for i in wrapper.formats}
    found = [i for i in wrapper.formats if str(i) == 'iso'][0] if names == {'iso', 'gpt'} else wrapper.format
except fi.ImageFormatError:
    print('error')
    sys.exit()
try:
    found.safety_check()
    print('safe', found)
except (fi.SafetyCheckFailed, fi.ImageFormatError):
    print('unsafe', found)
"#;

fn oracle(python: &str, image: &[u8]) -> String {
    let mut child = Command::new(python)
        .args(["-c", ORACLE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the Python runs");
    child.stdin.take().expect("piped").write_all(image).expect("read");
    let output = child.wait_with_output().expect("ends");
    assert!(output.status.success(), "the oracle failed");
    String::from_utf8(output.stdout).expect("ASCII").trim().to_owned()
}

#[test]
fn what_oslo_utils_finds_unsafe_or_other_we_do_too() {
    let Ok(python) = std::env::var("FANLIGHT_TEST_PYTHON") else {
        super::not_run("FANLIGHT_TEST_PYTHON is not set, verdicts were not compared with oslo.utils");
        return;
    };
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
    for (number, image) in cases.iter().enumerate() {
        let theirs = oracle(&python, image);
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
