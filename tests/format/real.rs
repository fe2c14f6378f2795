//! Images as `qemu-img` makes them.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use fanlight::config::Images;

use super::{bare, chunked, passes, refused};

const MIB: u64 = 1 << 20;

/// Whether `qemu-img` is here. A build machine must have it; elsewhere its absence is said.
fn qemu_img() -> bool {
    let found = Command::new("qemu-img").arg("--version").stdout(Stdio::null()).status().is_ok_and(|s| s.success());
    assert!(found || std::env::var_os("CI").is_none(), "qemu-img is not installed");
    if !found {
        super::not_run("qemu-img is not installed, images made by it were not inspected");
    }
    found
}

fn run(folder: &Path, args: &[&str]) {
    for tries in 1.. {
        let output = Command::new("qemu-img").args(args).current_dir(folder).output().expect("runs");
        if output.status.success() {
            return;
        }
        // It measures its own CPU time for LUKS, and gives up when a busy machine gives it none to measure.
        let complaint = String::from_utf8_lossy(&output.stderr);
        let busy = complaint.contains("Unable to get accurate CPU usage");
        assert!(busy && tries < 20, "qemu-img {args:?}: {complaint}");
    }
}

fn made(args: &[&str], folder: &Path, name: &str) -> Vec<u8> {
    run(folder, args);
    std::fs::read(folder.join(name)).expect("made")
}

#[test]
fn images_made_by_qemu_img() {
    if !qemu_img() {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let source: Vec<u8> = (0..3 * MIB).map(|i| (i >> 9).to_le_bytes()[0]).collect();
    std::fs::write(dir.path().join("source"), &source).expect("written");
    let variants: [(&str, &str, &[&str]); 9] = [
        ("qcow2", "qcow2", &["-o", "compat=1.1"]),
        ("qcow2", "qcow2", &["-o", "compat=0.10"]),
        ("qcow2", "qcow2", &["-c", "-o", "compression_type=zstd"]),
        ("vhd", "vpc", &["-o", "subformat=dynamic,force_size"]),
        ("vhdx", "vhdx", &["-o", "subformat=dynamic"]),
        ("vhdx", "vhdx", &["-o", "subformat=fixed"]),
        ("vmdk", "vmdk", &["-o", "subformat=monolithicSparse"]),
        ("vmdk", "vmdk", &["-o", "subformat=streamOptimized"]),
        ("vdi", "vdi", &[]),
    ];
    for (name, format, options) in variants {
        let mut args = vec!["convert", "-f", "raw", "-O", format];
        args.extend_from_slice(options);
        args.extend_from_slice(&["source", "image"]);
        let image = made(&args, dir.path(), "image");
        passes(bare(name, &image), name, Some(3 * MIB));
        for chunk in [17, 65_536] {
            passes(chunked(name, "bare", &Images::default(), &image, chunk), name, Some(3 * MIB));
        }
    }
}

#[test]
fn unsafe_images_made_by_qemu_img() {
    if !qemu_img() {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path();
    let make = |args: &[&str], name: &str| made(args, folder, name);
    make(&["create", "-f", "raw", "base", "1M"], "base");
    let image = make(&["create", "-f", "qcow2", "-b", "base", "-F", "raw", "over"], "over");
    refused(bare("qcow2", &image), "backing file");
    let image = make(&["create", "-f", "qcow2", "-o", "data_file=data,data_file_raw=on", "ext", "1M"], "ext");
    refused(bare("qcow2", &image), "external data file");
    let image = make(&["create", "-f", "vmdk", "-o", "subformat=monolithicFlat", "flat.vmdk", "1M"], "flat.vmdk");
    refused(bare("vmdk", &image), "descriptor without data");
    make(&["create", "-f", "vmdk", "parent.vmdk", "1M"], "parent.vmdk");
    let image = make(&["create", "-f", "vmdk", "-b", "parent.vmdk", "-F", "vmdk", "child.vmdk"], "child.vmdk");
    refused(bare("vmdk", &image), "parent disk");
    let image = make(&["create", "-f", "qed", "old", "1M"], "old");
    refused(bare("raw", &image), "not allowed");
    let secret = ["--object", "secret,id=s,data=secret"];
    let luks = ["create", "-f", "luks", "-o", "key-secret=s,iter-time=10", "luks", "1M"];
    let image = make(&[&luks[..1], &secret, &luks[1..]].concat(), "luks");
    passes(bare("luks", &image), "luks", Some(MIB));
}
