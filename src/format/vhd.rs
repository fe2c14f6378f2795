//! VHD (also called VPC): dynamic disks begin with a copy of their footer.

use super::{
    capture::{be32, be64},
    simple::{Facts, Spec, TRUNCATED},
};

/// A disk that holds only what differs from a parent, which it names by a path of the host.
const DIFFERENCING: u32 = 4;

pub(super) static VHD: Spec = Spec {
    name: "vhd",
    header: 512,
    detect: |header| header.starts_with(b"conectix"),
    facts: |header| Facts {
        violation: match be32(header, 60) {
            _ if header.len() < 512 => Some(TRUNCATED),
            Some(DIFFERENCING) => Some("it has a parent disk"),
            _ => None,
        },
        virtual_size: be64(header, 40),
        payload_offset: None,
    },
};
