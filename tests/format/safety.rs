//! Each safety rule, with an image that breaks it.

use fanlight::config::Images;

use super::{
    bare,
    images::{self, descriptor, set, vmdk},
    inspect, passes, refused,
};

/// Refused as what it is, and as `raw` too.
#[track_caller]
fn is_unsafe(name: &str, image: &[u8], why: &str) {
    for declared in [name, "raw"] {
        refused(bare(declared, image), &format!("detected `{name}`, and {why}"));
    }
}

fn with(mut image: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
    set(&mut image, at, bytes);
    image
}

#[test]
fn sec_14_qcow2_backing_file() {
    for version in [2, 3] {
        is_unsafe("qcow2", &with(images::qcow2(version), 8, &0x200_u64.to_be_bytes()), "it has a backing file");
    }
}

#[test]
fn sec_21_and_45_qcow2_data_file() {
    is_unsafe("qcow2", &with(images::qcow2(3), 79, &[0b100]), "it has an external data file");
}

#[test]
fn qcow2_features_and_versions() {
    for bit in 0..64_u32 {
        let image = with(images::qcow2(3), 72, &(1_u64 << bit).to_be_bytes());
        match bit {
            0 | 1 | 3 => passes(bare("qcow2", &image), "qcow2", Some(images::DISK)),
            2 => is_unsafe("qcow2", &image, "it has an external data file"),
            _ => is_unsafe("qcow2", &image, "it has unknown incompatible features"),
        }
        // Version 2 has no features there.
        passes(bare("qcow2", &with(image, 7, &[2])), "qcow2", Some(images::DISK));
    }
    for version in [0, 1, 4, u32::MAX] {
        is_unsafe("qcow2", &images::qcow2(version), "its version is not supported");
    }
    for len in [4, 10, 71, 103] {
        is_unsafe("qcow2", &images::qcow2(3)[..len], "the data end within the header");
    }
}

#[test]
fn sizes_that_no_database_holds() {
    for size in [1_u64 << 63, u64::MAX] {
        refused(bare("qcow2", &with(images::qcow2(3), 24, &size.to_be_bytes())), "virtual size");
        refused(bare("vdi", &with(images::vdi(1), 0x170, &size.to_le_bytes())), "virtual size");
    }
    let sectors = (1_u64 << 60).to_le_bytes();
    refused(bare("vmdk", &with(vmdk(&descriptor("monolithicSparse")), 12, &sectors)), "virtual size");
    passes(bare("qcow2", &with(images::qcow2(3), 24, &[0; 8])), "qcow2", None);
}

#[test]
fn qed_is_banned() {
    is_unsafe("qed", &images::qed(), "the format is not allowed");
}

#[test]
fn disks_with_a_parent() {
    is_unsafe("vhd", &images::vhd(4), "it has a parent disk");
    is_unsafe("vdi", &images::vdi(4), "it has a parent disk");
    is_unsafe("vhdx", &with(images::vhdx(), images::VHDX_PARAMETERS + 4, &[0b10]), "it has a parent disk");
    for line in ["parentFileNameHint=\"/etc/passwd\"", "parentCID=12345678", "ddb.x = \"parentFileNameHint=\""] {
        let text = format!("{}{line}\n", descriptor("monolithicSparse"));
        is_unsafe("vmdk", &vmdk(&text), "it has a parent disk");
    }
}

#[test]
fn vhdx_structure() {
    let table = 192 << 10;
    is_unsafe("vhdx", &with(images::vhdx(), table, b"x"), "its region table has no signature");
    is_unsafe("vhdx", &with(images::vhdx(), table + 48, b"x"), "its region table names no metadata");
    is_unsafe("vhdx", &with(images::vhdx(), table + 8, &2048_u32.to_le_bytes()), "its region table names no metadata");
    is_unsafe("vhdx", &with(images::vhdx(), images::VHDX_METADATA, b"x"), "its metadata table has no signature");
    // A region before the one that names it cannot be read from a stream.
    is_unsafe("vhdx", &with(images::vhdx(), table + 64, &0_u64.to_le_bytes()), "its metadata table has no signature");
    is_unsafe("vhdx", &with(images::vhdx(), table + 64, &[0xff; 8]), "its metadata table has no signature");
    is_unsafe("vhdx", &images::vhdx()[..1000], "the data end within the header");
    is_unsafe("vhdx", &images::vhdx()[..images::VHDX_PARAMETERS], "its metadata are cut off");
}

#[test]
fn sec_19_vmdk_types() {
    for kind in ["monolithicFlat", "twoGbMaxExtentSparse", "vmfs", "fullDevice", "custom", ""] {
        is_unsafe(
            "vmdk",
            &vmdk(&descriptor(kind)),
            &format!("its `createType` `{}` is not allowed", kind.to_lowercase()),
        );
    }
    is_unsafe("vmdk", &vmdk("version=1\nRW 1 SPARSE \"x\"\n"), "its descriptor has no `createType`");
    is_unsafe("vmdk", &vmdk(""), "its descriptor has no `createType`");
    let few = Images { vmdk_allowed_types: vec!["streamOptimized".into()], ..Images::default() };
    refused(inspect("vmdk", "bare", &few, &vmdk(&descriptor("monolithicSparse"))), "not allowed");
    passes(bare("vmdk", &vmdk(&descriptor("MONOLITHICsparse"))), "vmdk", Some(images::DISK));
}

#[test]
fn sec_19_vmdk_descriptor_lines() {
    let base = descriptor("monolithicSparse");
    let replaced = |line: &str| vmdk(&base.replace("RW 131072 SPARSE \"disk.vmdk\"", line));
    is_unsafe("vmdk", &replaced("RW 131072 SPARSE \"/etc/passwd\""), "an extent names a file elsewhere");
    is_unsafe("vmdk", &replaced("RDONLY 1 SPARSE \"..\\x\""), "an extent names a file elsewhere");
    is_unsafe("vmdk", &replaced("RW 131072 FLAT \"passwd\" 0"), "an extent is not in the file itself");
    is_unsafe("vmdk", &replaced("RW\t1\tFLAT \"passwd\" 0"), "its descriptor has a line that is not understood");
    is_unsafe("vmdk", &replaced("something else"), "its descriptor has a line that is not understood");
    is_unsafe("vmdk", &replaced("# nothing"), "its descriptor names no extent");
    is_unsafe("vmdk", &vmdk(&format!("{base}# ä\n")), "its descriptor is not ASCII");
}

#[test]
fn vmdk_header() {
    let good = || vmdk(&descriptor("monolithicSparse"));
    is_unsafe("vmdk", &with(good(), 4, &[4]), "its version is not supported");
    is_unsafe("vmdk", &with(good(), 28, &[2]), "its descriptor is not behind the header");
    is_unsafe("vmdk", &with(good(), 36, &[0]), "its descriptor is not behind the header");
    is_unsafe("vmdk", &with(good(), 36, &[0xff; 8]), "its descriptor is too long");
    is_unsafe("vmdk", &with(good(), 12, &[0; 8]), "its header gives no size");
    is_unsafe("vmdk", &good()[..100], "the data end within the header");
    is_unsafe("vmdk", &good()[..5000], "the data end within the header");
}

#[test]
fn vmdk_footer() {
    let len = images::vmdk_stream().len();
    let bent = |from_end: usize, bytes: &[u8]| with(images::vmdk_stream(), len - from_end, bytes);
    is_unsafe("vmdk", &images::vmdk_stream()[..len - 1], "its footer is missing");
    is_unsafe("vmdk", &bent(1024, b"X"), "its footer is missing");
    is_unsafe("vmdk", &bent(1024 - 28, &[9]), "its footer differs from its header");
    is_unsafe("vmdk", &bent(1024 - 4, &[2]), "its footer differs from its header");
    is_unsafe("vmdk", &bent(1024 - 56, &[0xff; 8]), "its footer names another footer");
    is_unsafe("vmdk", &bent(1536 - 12, &[1]), "the marker of its footer is not valid");
    is_unsafe("vmdk", &bent(1536 - 100, &[1]), "the marker of its footer is not valid");
    is_unsafe("vmdk", &bent(512, &[1]), "the marker of its end is not valid");
    is_unsafe("vmdk", &bent(1, &[1]), "the marker of its end is not valid");
}

#[test]
fn sec_19_vmdk_descriptor_alone() {
    let texts = [
        descriptor("monolithicFlat"),
        "# Disk DescriptorFile\nversion=1\nRW 1 FLAT \"/etc/passwd\" 0\n".to_owned(),
        format!("{}{}", "# padding\n".repeat(60_000), descriptor("monolithicFlat")),
        "# \u{e9}\nversion=3\r\ncreateType=\"vmfs\"\n".to_owned(),
        format!("{}CREATETYPE=\"vmfs\"", "x".repeat(505)),
    ];
    for text in texts {
        is_unsafe("vmdk", text.as_bytes(), "it is a descriptor without data");
    }
    passes(bare("raw", "just a text\n".repeat(1000).as_bytes()), "raw", Some(12_000));
}

#[test]
fn gpt_tables() {
    is_unsafe("gpt", &images::mbr(0, 0), "its partition table is empty");
    is_unsafe("gpt", &with(images::mbr(0x83, 63), 446, &[1]), "its partition table has an invalid boot flag");
    let start = "its protective partition does not begin at the first block";
    is_unsafe("gpt", &images::mbr(0xee, 2), start);
    is_unsafe("gpt", &with(images::mbr(0xee, 1), 447, &[1]), start);
    let extra = "its protective partition table has extra partitions";
    is_unsafe("gpt", &with(images::mbr(0xee, 1), 446 + 16 + 4, &[0x83]), extra);
    let lax = Images { gpt_checks_nonfatal: true, ..Images::default() };
    passes(inspect("raw", "bare", &lax, &images::mbr(0, 0)), "gpt", Some(4096));
    // A FAT file system is no partition table.
    let mut fat = with(images::mbr(0, 0), 0x10, &[2]);
    set(&mut fat, 0x15, &[0xf8]);
    passes(bare("raw", &fat), "raw", Some(4096));
}

#[test]
fn luks_versions() {
    is_unsafe("luks", &images::luks(2), "its version is not supported");
    is_unsafe("luks", &images::luks(1)[..591], "the data end within the header");
    is_unsafe("vhd", &images::vhd(3)[..511], "the data end within the header");
}
