//! The manifest of a plug-in: what it is called, which bytes it is, what it may use.

use std::{collections::BTreeMap, ops::Range, time::Duration};

use serde::Deserialize;
use toml::Spanned;

use super::{engine::MEMORY_MAX, load::NAME_MAX};
use crate::rules::Fault;

/// The world that this host runs.
pub(super) const WORLD: &str = "fanlight:placement@1.0.0";

/// Bytes of a manifest at most.
const MANIFEST_MAX: usize = 64 << 10;
const MEMORY_MAX_MIB: u64 = (MEMORY_MAX >> 20) as u64;

/// A `*.toml` file beside a component.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Manifest {
    /// Name in logs and metrics; must be what the plug-in says of itself.
    pub(super) name: Spanned<String>,
    /// Package and version of the contract.
    world: Spanned<String>,
    /// File of the component, in the same folder.
    pub(super) wasm: Spanned<String>,
    /// Digest of that file, hex: nothing else is run.
    pub(super) sha256: Spanned<String>,
    /// Rank among the plug-ins: they run in rising order, each on what those before it accepted.
    #[serde(default)]
    pub(super) order: i32,
    /// Left out while false.
    #[serde(default = "yes")]
    pub(super) enabled: bool,
    /// Custom properties of the image that the plug-in is shown.
    #[serde(default)]
    pub(super) properties: Vec<String>,
    /// What a call may use.
    #[serde(default)]
    limits: RawLimits,
    /// Handed to the plug-in as they are.
    settings: Option<Spanned<BTreeMap<String, String>>>,
    /// Where it was read, for faults.
    #[serde(skip)]
    file: String,
    #[serde(skip)]
    text: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawLimits {
    fuel: Option<Spanned<u64>>,
    deadline_ms: Option<Spanned<u64>>,
    memory_mib: Option<Spanned<u64>>,
    output_kib: Option<Spanned<u64>>,
}

/// What one call may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Units of fuel, about one a WebAssembly instruction.
    pub fuel: u64,
    /// Wall clock.
    pub deadline: Duration,
    /// Bytes of linear memory.
    pub memory: usize,
    /// Bytes of text in an answer.
    pub output: usize,
}

impl Manifest {
    /// Reads a manifest; every fault names its line.
    pub(super) fn parse(file: &str, bytes: &[u8]) -> Result<Self, Fault> {
        let fault = |line, text: String| Fault::new(file, line, text);
        if bytes.len() > MANIFEST_MAX {
            return Err(fault(None, format!("is {} bytes, at most {MANIFEST_MAX} are taken", bytes.len())));
        }
        let text = std::str::from_utf8(bytes).map_err(|e| fault(None, format!("is not UTF-8: {e}")))?;
        let manifest: Self = toml::from_str(text).map_err(|e| {
            let line = e.span().map(|span| line(text, span.start));
            fault(line, e.message().lines().next().unwrap_or_default().to_owned())
        })?;
        let manifest = Self { file: file.to_owned(), text: text.to_owned(), ..manifest };
        manifest.check().map_err(|(at, text)| manifest.fault(at, text))?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), (Range<usize>, String)> {
        let name = self.name.get_ref();
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(plain) {
            let text = format!("`name` must be 1 to {NAME_MAX} letters, digits, `-`, `_` or `.`");
            return Err((self.name.span(), text));
        }
        if self.world.get_ref() != WORLD {
            let text = format!("`world` is `{}`, this host runs `{WORLD}`", self.world.get_ref());
            return Err((self.world.span(), text));
        }
        if self.wasm.get_ref().contains(['/', '\\']) {
            return Err((self.wasm.span(), "`wasm` must be a file name without a folder".into()));
        }
        let digest = self.sha256.get_ref();
        if digest.len() != 64 || !digest.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            return Err((self.sha256.span(), "`sha256` must be 64 hex digits in lower case".into()));
        }
        let limits = &self.limits;
        let bounds = [
            ("fuel", &limits.fuel, 1, 10_000_000_000),
            ("deadline-ms", &limits.deadline_ms, 5, 1000),
            ("memory-mib", &limits.memory_mib, 1, MEMORY_MAX_MIB),
            ("output-kib", &limits.output_kib, 1, 1024),
        ];
        for (key, value, min, max) in bounds {
            if let Some(value) = value
                && !(min..=max).contains(value.get_ref())
            {
                return Err((value.span(), format!("`limits.{key}` must be {min} to {max}")));
            }
        }
        Ok(())
    }

    /// A fault at a place of this manifest.
    pub(super) fn fault(&self, at: Range<usize>, text: String) -> Fault {
        Fault::new(&self.file, Some(line(&self.text, at.start)), text)
    }

    /// Where the settings are; without any, where the name is.
    pub(super) fn settings_span(&self) -> Range<usize> {
        self.settings.as_ref().map_or_else(|| self.name.span(), Spanned::span)
    }

    pub(super) fn settings(&self) -> impl Iterator<Item = (&String, &String)> {
        self.settings.iter().flat_map(|s| s.get_ref())
    }

    /// What one call may use.
    pub(super) fn limits(&self) -> Limits {
        let value = |set: &Option<Spanned<u64>>, default| set.as_ref().map_or(default, |v| *v.get_ref());
        let bytes = |n: u64, shift: u32| usize::try_from(n << shift).unwrap_or(usize::MAX);
        Limits {
            fuel: value(&self.limits.fuel, 10_000_000),
            deadline: Duration::from_millis(value(&self.limits.deadline_ms, 100)),
            memory: bytes(value(&self.limits.memory_mib, 16), 20),
            output: bytes(value(&self.limits.output_kib, 64), 10),
        }
    }
}

fn line(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|b| *b == b'\n').count() + 1
}

fn yes() -> bool {
    true
}
