//! What is declared against what is found.

use fanlight::config::Images;

use super::{
    bare,
    images::{self, DISK},
    inspect, passes, refused,
};

#[test]
fn every_format_is_recognised_with_its_virtual_size() {
    for (name, image) in images::all() {
        let size = match name {
            "iso" => 2_048_000,
            "gpt" => image.len() as u64,
            "luks" => image.len() as u64 - 4 * 512,
            _ => DISK,
        };
        passes(bare(name, &image), name, Some(size));
    }
}

#[test]
fn declared_is_not_detected() {
    for (name, image) in images::all() {
        for declared in ["qcow2", "vhd", "vhdx", "vmdk", "vdi", "iso", "ami", "ploop"] {
            if declared != name {
                let text = format!("declared `{declared}`, detected `{name}`");
                refused(bare(declared, &image), &text);
            }
        }
    }
    refused(bare("qcow2", &[0; 10_000]), "declared `qcow2`, detected `raw`");
    refused(bare("qcow2", b""), "declared `qcow2`, detected `raw`");
}

#[test]
fn raw_may_hold_anything_safe_and_its_size_is_what_came() {
    for (name, image) in images::all() {
        passes(bare("raw", &image), name, Some(image.len() as u64));
    }
    passes(bare("raw", &[1; 5000]), "raw", Some(5000));
    passes(bare("raw", b""), "raw", None);
}

#[test]
fn formats_that_are_not_inspected_pass_when_unrecognised() {
    for declared in ["ami", "aki", "ari", "ploop", "something"] {
        passes(bare(declared, &[1; 5000]), "raw", None);
    }
}

#[test]
fn a_kernel_that_boots_by_efi_is_a_kernel() {
    let mut kernel = images::mbr(0, 0);
    images::set(&mut kernel, 446, &[0x4d; 16]);
    for declared in ["aki", "ari"] {
        passes(bare(declared, &kernel), "gpt", None);
    }
    refused(bare("raw", &kernel), "invalid boot flag");
    refused(bare("ami", &kernel), "detected `gpt`");
}

#[test]
fn a_disc_that_boots_as_a_disk_is_a_disc() {
    let mut image = images::iso();
    images::set(&mut image, 0, &images::mbr(0xee, 1)[..512]);
    passes(bare("iso", &image), "iso", Some(2_048_000));
    passes(bare("raw", &image), "iso", Some(image.len() as u64));
    refused(bare("gpt", &image), "detected `iso`");
    // Tables of hybrid discs are seldom in order; the disc is what counts.
    images::set(&mut image, 446, &[0x17]);
    passes(bare("iso", &image), "iso", Some(2_048_000));
}

#[test]
fn several_formats_at_once_are_refused() {
    let mut image = images::iso();
    images::set(&mut image, 0, &images::qcow2(3)[..512]);
    for declared in ["iso", "qcow2", "raw", "ami"] {
        refused(bare(declared, &image), "several formats at once: `qcow2`, `iso`");
    }
    let loose = Images { require_format_match: false, ..Images::default() };
    passes(inspect("raw", "bare", &loose, &image), "qcow2", None);
    images::set(&mut image, 8, &1_u64.to_be_bytes());
    refused(inspect("raw", "bare", &loose, &image), "backing file");
}

#[test]
fn without_the_match_rule_only_safety_counts() {
    let loose = Images { require_format_match: false, ..Images::default() };
    passes(inspect("vmdk", "bare", &loose, &images::qcow2(3)), "qcow2", None);
    passes(inspect("vmdk", "bare", &loose, &[0; 4096]), "raw", None);
    passes(inspect("qcow2", "bare", &loose, &images::qcow2(3)), "qcow2", Some(DISK));
    refused(inspect("vmdk", "bare", &loose, &images::qed()), "not allowed");
}

#[test]
fn bug_07_safety_does_not_depend_on_the_container() {
    let mut image = images::qcow2(3);
    images::set(&mut image, 8, &1_u64.to_be_bytes());
    for container in ["bare", "ami", "aki", "ari", "ovf", "ova", "docker", "compressed", "other"] {
        for declared in ["raw", "qcow2", "vmdk"] {
            refused(inspect(declared, container, &Images::default(), &image), "backing file");
        }
    }
}

#[test]
fn a_container_around_the_image_hides_what_is_declared() {
    let rules = Images::default();
    // Compressed data end the first sector with the signature of a partition table by chance.
    let mut archive = vec![0x1f; 4096];
    images::set(&mut archive, 510, &[0x55, 0xaa]);
    for container in ["ovf", "ova", "docker", "compressed"] {
        passes(inspect("vmdk", container, &rules, &archive), "raw", None);
        passes(inspect("qcow2", container, &rules, &images::qcow2(3)), "qcow2", Some(DISK));
        refused(inspect("vmdk", container, &rules, &images::qcow2(3)), "detected `qcow2`");
    }
    for container in ["bare", "ami", "aki", "ari"] {
        refused(inspect("vmdk", container, &rules, &[0x1f; 4096]), "detected `raw`");
    }
}

#[test]
fn nothing_declared_is_only_checked_for_safety() {
    let rules = Images::default();
    let mut inspector = fanlight::format::Inspector::new(None, None, &rules);
    let image = images::qcow2(3);
    inspector.feed(&image);
    assert_eq!(inspector.early(), None);
    passes(inspector.finish(image.len() as u64), "qcow2", None);
}

#[test]
fn a_mismatch_is_known_before_the_end() {
    let mut inspector = fanlight::format::Inspector::new(Some("qcow2"), Some("bare"), &Images::default());
    inspector.feed(&[0; 511]);
    assert_eq!(inspector.early(), None);
    inspector.feed(&[0]);
    assert!(inspector.early().expect("certain").to_string().contains("declared `qcow2`"));
}
