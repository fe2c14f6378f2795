//! The manifest of a plug-in: what it is called, which bytes it is, what it may use.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;
use toml::Spanned;

use super::engine::MEMORY_MAX;
use crate::rules::Fault;

/// The world that this host runs.
pub(super) const WORLD: &str = "fanlight:placement@1.0.0";

/// A `*.toml` file beside a component.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Manifest {
    /// Name in logs and metrics; must be what the plug-in says of itself.
    pub name: String,
    /// Package and version of the contract.
    world: Spanned<String>,
    /// File of the component, in the same folder.
    pub wasm: String,
    /// Digest of that file, hex: nothing else is run.
    pub sha256: Spanned<String>,
    /// Rank among the plug-ins: they run in rising order, each on what those before it accepted.
    #[serde(default)]
    pub order: i32,
    /// Left out while false.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Custom properties of the image that the plug-in is shown.
    #[serde(default)]
    pub properties: Vec<String>,
    /// What a call may use.
    limits: Option<Spanned<RawLimits>>,
    /// Handed to the plug-in as they are.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct RawLimits {
    fuel: u64,
    deadline_ms: u64,
    memory_mib: usize,
    output_kib: usize,
}

impl Default for RawLimits {
    fn default() -> Self {
        Self { fuel: 10_000_000, deadline_ms: 100, memory_mib: 16, output_kib: 64 }
    }
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
        let text = std::str::from_utf8(bytes).map_err(|e| Fault::new(file, None, format!("is not UTF-8: {e}")))?;
        let line = |at: usize| Some(text.bytes().take(at).filter(|b| *b == b'\n').count() + 1);
        let manifest: Self = toml::from_str(text).map_err(|e| {
            Fault::new(file, e.span().and_then(|s| line(s.start)), e.message().lines().next().unwrap_or_default())
        })?;
        let at = |span: std::ops::Range<usize>, text: String| Err(Fault::new(file, line(span.start), text));
        if manifest.world.get_ref() != WORLD {
            let text = format!("`world` is `{}`, this host runs `{WORLD}`", manifest.world.get_ref());
            return at(manifest.world.span(), text);
        }
        let digest = manifest.sha256.get_ref();
        if digest.len() != 64 || !digest.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            return at(manifest.sha256.span(), "`sha256` must be 64 hex digits in lower case".into());
        }
        let raw = manifest.raw_limits();
        let checks = [
            ("fuel", (1..=10_000_000_000).contains(&raw.fuel), "1 to 10000000000"),
            ("deadline-ms", (5..=10_000).contains(&raw.deadline_ms), "5 to 10000"),
            ("memory-mib", (1..=MEMORY_MAX >> 20).contains(&raw.memory_mib), "1 to 64"),
            ("output-kib", (1..=1024).contains(&raw.output_kib), "1 to 1024"),
        ];
        if let Some((key, _, range)) = checks.iter().find(|(_, ok, _)| !ok) {
            let span = manifest.limits.as_ref().map_or(0..0, Spanned::span);
            return at(span, format!("`limits.{key}` must be {range}"));
        }
        Ok(manifest)
    }

    fn raw_limits(&self) -> RawLimits {
        self.limits.as_ref().map_or_else(RawLimits::default, |l| *l.get_ref())
    }

    /// What one call may use.
    pub fn limits(&self) -> Limits {
        let raw = self.raw_limits();
        Limits {
            fuel: raw.fuel,
            deadline: Duration::from_millis(raw.deadline_ms),
            memory: raw.memory_mib << 20,
            output: raw.output_kib << 10,
        }
    }
}

fn yes() -> bool {
    true
}
