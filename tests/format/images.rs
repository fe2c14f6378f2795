//! Small images of every format, written field by field, so that a test can bend one field.

pub const DISK: u64 = 64 << 20;

pub fn set(image: &mut [u8], at: usize, bytes: &[u8]) {
    image[at..at + bytes.len()].copy_from_slice(bytes);
}

pub fn qcow2(version: u32) -> Vec<u8> {
    let mut image = vec![0; 70_000];
    set(&mut image, 0, b"QFI\xfb");
    set(&mut image, 4, &version.to_be_bytes());
    set(&mut image, 20, &16_u32.to_be_bytes());
    set(&mut image, 24, &DISK.to_be_bytes());
    image
}

pub fn qed() -> Vec<u8> {
    let mut image = vec![0; 4096];
    set(&mut image, 0, b"QED\0");
    image
}

pub fn vhd(kind: u32) -> Vec<u8> {
    let mut image = vec![0; 4096];
    set(&mut image, 0, b"conectix");
    set(&mut image, 40, &DISK.to_be_bytes());
    set(&mut image, 60, &kind.to_be_bytes());
    image
}

pub fn vdi(kind: u32) -> Vec<u8> {
    let mut image = vec![0; 4096];
    set(&mut image, 0x40, &0xbeda_107f_u32.to_le_bytes());
    set(&mut image, 0x4c, &kind.to_le_bytes());
    set(&mut image, 0x170, &DISK.to_le_bytes());
    image
}

pub fn iso() -> Vec<u8> {
    let mut image = vec![0; 40 << 10];
    set(&mut image, 32 << 10, b"\x01CD001\x01");
    set(&mut image, (32 << 10) + 80, &1000_u32.to_le_bytes());
    set(&mut image, (32 << 10) + 128, &2048_u16.to_le_bytes());
    image
}

/// One partition: of the type `kind`, from `first`.
pub fn mbr(kind: u8, first: u32) -> Vec<u8> {
    let mut image = vec![0; 4096];
    set(&mut image, 446, &[0, 0, 2, 0, kind]);
    set(&mut image, 446 + 8, &first.to_le_bytes());
    set(&mut image, 446 + 12, &1000_u32.to_le_bytes());
    set(&mut image, 510, &[0x55, 0xaa]);
    image
}

pub fn luks(version: u16) -> Vec<u8> {
    let mut image = vec![0; 8 << 10];
    set(&mut image, 0, b"LUKS\xba\xbe");
    set(&mut image, 6, &version.to_be_bytes());
    set(&mut image, 104, &4_u32.to_be_bytes());
    image
}

pub const VHDX_METADATA: usize = 1 << 20;
pub const VHDX_PARAMETERS: usize = VHDX_METADATA + (64 << 10);

pub fn vhdx() -> Vec<u8> {
    let mut image = vec![0; 2 << 20];
    set(&mut image, 0, b"vhdxfile");
    let table = 192 << 10;
    set(&mut image, table, b"regi");
    set(&mut image, table + 8, &2_u32.to_le_bytes());
    set(&mut image, table + 16, &[0x66; 16]);
    set(&mut image, table + 48, b"\x06\xa2\x7c\x8b\x90\x47\x9a\x4b\xb8\xfe\x57\x5f\x05\x0f\x88\x6e");
    set(&mut image, table + 64, &(VHDX_METADATA as u64).to_le_bytes());
    let metadata = VHDX_METADATA;
    set(&mut image, metadata, b"metadata");
    set(&mut image, metadata + 10, &2_u16.to_le_bytes());
    set(&mut image, metadata + 32, b"\x24\x42\xa5\x2f\x1b\xcd\x76\x48\xb2\x11\x5d\xbe\xd8\x3b\xf4\xb8");
    set(&mut image, metadata + 48, &(65_536_u32 + 8).to_le_bytes());
    set(&mut image, metadata + 52, &8_u32.to_le_bytes());
    set(&mut image, metadata + 64, b"\x37\x67\xa1\xca\x36\xfa\x43\x4d\xb3\xb6\x33\xf0\xaa\x44\xe7\x6b");
    set(&mut image, metadata + 80, &65_536_u32.to_le_bytes());
    set(&mut image, metadata + 84, &8_u32.to_le_bytes());
    set(&mut image, VHDX_PARAMETERS, &(1_u32 << 20).to_le_bytes());
    set(&mut image, VHDX_PARAMETERS + 8, &DISK.to_le_bytes());
    image
}

pub fn descriptor(kind: &str) -> String {
    format!(
        "# Disk DescriptorFile\nversion=1\nCID=0123abcd\nparentCID=ffffffff\ncreateType=\"{kind}\"\n\n\
         # Extent description\nRW 131072 SPARSE \"disk.vmdk\"\n\n# The Disk Data Base\n#DDB\n\n\
         ddb.virtualHWVersion = \"4\"\nddb.geometry.cylinders = \"130\"\n"
    )
}

fn sparse_header(directory: u64) -> Vec<u8> {
    let mut header = vec![0; 512];
    set(&mut header, 0, b"KDMV");
    set(&mut header, 4, &1_u32.to_le_bytes());
    set(&mut header, 12, &(DISK / 512).to_le_bytes());
    set(&mut header, 28, &1_u64.to_le_bytes());
    set(&mut header, 36, &20_u64.to_le_bytes());
    set(&mut header, 56, &directory.to_le_bytes());
    header
}

pub fn vmdk(descriptor: &str) -> Vec<u8> {
    let mut image = sparse_header(21);
    image.resize(64 << 10, 0);
    set(&mut image, 512, descriptor.as_bytes());
    image
}

/// As tools stream it: the header leaves the grain directory to a footer.
pub fn vmdk_stream() -> Vec<u8> {
    let mut image = sparse_header(u64::MAX);
    image.resize(64 << 10, 0);
    set(&mut image, 512, descriptor("streamOptimized").as_bytes());
    let mut marker = [0; 512];
    marker[12] = 3;
    image.extend_from_slice(&marker);
    image.extend_from_slice(&sparse_header(100));
    image.extend_from_slice(&[0; 512]);
    image
}

/// Every format by name, each safe.
pub fn all() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("qcow2", qcow2(2)),
        ("qcow2", qcow2(3)),
        ("vhd", vhd(3)),
        ("vhdx", vhdx()),
        ("vmdk", vmdk(&descriptor("monolithicSparse"))),
        ("vmdk", vmdk_stream()),
        ("vdi", vdi(1)),
        ("iso", iso()),
        ("gpt", mbr(0x83, 2048)),
        ("gpt", mbr(0xee, 1)),
        ("luks", luks(1)),
    ]
}
