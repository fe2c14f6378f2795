//! From files to plug-ins that may serve: digest, caps, compilation, world, description, settings, a first call.

use std::{collections::BTreeMap, ops::Range, sync::Arc, time::Instant};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use wasmtime::{
    Store,
    component::{Component, HasSelf, Linker},
};

use super::{
    Engine, Manifest,
    bindings::{Placement, PlacementPre},
    call::{self, CallError, Host, Limit},
    manifest::Limits,
    scan,
    types::{Image, Request, Store as Candidate, Verdict},
};
use crate::rules::Fault;

/// Manifests of one generation at most.
const PLUGINS_MAX: usize = 16;

/// Characters of a plug-in's name at most.
pub(super) const NAME_MAX: usize = 64;
/// Characters of one text of a guest at most; what is longer is cut.
const TEXT_MAX: usize = 512;

/// The plug-ins of one generation, in the order in which they are asked.
#[derive(Clone, Default)]
pub struct Plugins {
    placement: Arc<[Plugin]>,
    /// sha256 over the files that they were made of.
    source: [u8; 32],
}

/// A plug-in that passed every check.
pub struct Plugin {
    manifest: Manifest,
    limits: Limits,
    settings: Vec<(String, String)>,
    engine: Engine,
    pre: PlacementPre<Host>,
}

impl Plugins {
    /// Makes plug-ins of the manifests and components in `files` (name and bytes). Expensive: call it off the request
    /// path.
    ///
    /// # Errors
    /// Every fault of every file.
    pub fn load(files: &[(String, Vec<u8>)], engine: &Engine) -> Result<Self, Vec<Fault>> {
        let by_name: BTreeMap<&str, &[u8]> = files.iter().map(|(n, b)| (n.as_str(), b.as_slice())).collect();
        let (mut placement, mut faults) = (Vec::<Plugin>::new(), Vec::new());
        let manifests: Vec<_> = by_name.iter().filter(|(name, _)| name.ends_with(".toml")).collect();
        // Before anything is compiled: each one may cost seconds.
        if manifests.len() > PLUGINS_MAX {
            return Err(vec![Fault::new("plug-ins", None, format!("more than {PLUGINS_MAX} manifests"))]);
        }
        for (file, bytes) in manifests {
            match Plugin::load(file, bytes, &by_name, engine) {
                Ok(Some(plugin)) if placement.iter().any(|p| p.name() == plugin.name()) => {
                    faults.push(Fault::new(*file, None, format!("the name `{}` is taken", plugin.name())));
                }
                Ok(plugin) => placement.extend(plugin),
                Err(fault) => faults.push(fault),
            }
        }
        placement.sort_by(|a, b| (a.manifest.order, a.name()).cmp(&(b.manifest.order, b.name())));
        if faults.is_empty() { Ok(Self { placement: placement.into(), source: source(files) }) } else { Err(faults) }
    }

    /// As [`Plugins::load`], but from the same files come the same plug-ins, compiled once: new policies alone are in
    /// force in a fraction of the time.
    ///
    /// # Errors
    /// As [`Plugins::load`].
    pub fn reload(&self, files: &[(String, Vec<u8>)], engine: &Engine) -> Result<Self, Vec<Fault>> {
        if source(files) == self.source { Ok(self.clone()) } else { Self::load(files, engine) }
    }

    /// The plug-ins that come with the service, as files.
    pub fn shipped() -> Vec<(String, Vec<u8>)> {
        let files: [(&str, &[u8]); 2] = [
            ("most-free.toml", include_bytes!("../../plugins/dist/most-free.toml")),
            ("most-free.wasm", include_bytes!("../../plugins/dist/most-free.wasm")),
        ];
        files.map(|(name, bytes)| (name.to_owned(), bytes.to_vec())).into()
    }

    /// Those that rank stores, in order.
    pub fn placement(&self) -> &[Plugin] {
        &self.placement
    }
}

fn source(files: &[(String, Vec<u8>)]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for (name, bytes) in files {
        hash.update(format!("{name}\0{}\0", bytes.len()));
        hash.update(bytes);
    }
    hash.finalize().into()
}

impl Plugin {
    fn load(file: &str, bytes: &[u8], files: &BTreeMap<&str, &[u8]>, engine: &Engine) -> Result<Option<Self>, Fault> {
        let manifest = Manifest::parse(file, bytes)?;
        if !manifest.enabled {
            return Ok(None);
        }
        let name = manifest.wasm.get_ref();
        let Some(wasm) = files.get(name.as_str()) else {
            let text = format!("`wasm` names `{name}`, which is not a file of this folder");
            return Err(manifest.fault(manifest.wasm.span(), text));
        };
        let digest = HEXLOWER.encode(&Sha256::digest(wasm));
        if digest != *manifest.sha256.get_ref() {
            return Err(manifest.fault(manifest.sha256.span(), format!("`{name}` has sha256 {digest}")));
        }
        let fault = |text: String| Fault::new(manifest.wasm.get_ref(), None, text);
        scan::check(wasm).map_err(fault)?;
        let component = Component::new(engine.raw(), wasm).map_err(|e| fault(format!("cannot be compiled: {e:#}")))?;
        let mut linker = Linker::new(engine.raw());
        Placement::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host)
            .map_err(|e| fault(format!("cannot be linked: {e:#}")))?;
        let pre = linker
            .instantiate_pre(&component)
            .and_then(PlacementPre::new)
            .map_err(|e| fault(format!("does not fit world `{}`: {e:#}", super::manifest::WORLD)))?;
        let settings = manifest.settings().map(|(k, v)| (k.clone(), v.clone())).collect();
        let plugin = Self { limits: manifest.limits(), settings, engine: engine.clone(), pre, manifest };
        plugin.try_out().map_err(|(at, text)| plugin.manifest.fault(at, text))?;
        Ok(Some(plugin))
    }

    /// Every export is called once before the plug-in serves; a fault names the place in the manifest to look at.
    fn try_out(&self) -> Result<(), (Range<usize>, String)> {
        let name = &self.manifest.name;
        let at_name = |text: String| (name.span(), text);
        let (description, _) = call::run(self, |guest, store| guest.call_describe(store));
        let description = description.map_err(|e| at_name(format!("`describe`: {e}")))?;
        if description.name != *name.get_ref() {
            let own = call::tame(&description.name, NAME_MAX);
            return Err(at_name(format!("`name` is `{}`, the plug-in calls itself `{own}`", name.get_ref())));
        }
        let at_settings = |text: String| (self.manifest.settings_span(), text);
        let (settings, _) = call::run(self, |guest, store| guest.call_validate_settings(store, &self.settings));
        settings
            .map_err(|e| at_settings(format!("`validate-settings`: {e}")))?
            .map_err(|e| at_settings(format!("`[settings]`: {}", call::tame(&e, TEXT_MAX))))?;
        self.ask(&sample()).0.map(drop).map_err(|e| at_name(format!("`rank`, tried with invented stores: {e}")))
    }

    /// Asks for a verdict on every candidate, and counts the call.
    ///
    /// # Errors
    /// What ended the call, or what is wrong with the answer.
    pub fn rank(&self, request: &Request) -> Result<Vec<Verdict>, CallError> {
        let started = Instant::now();
        let (answer, fuel) = self.ask(request);
        let outcome = answer.as_ref().map_or_else(|e| e.outcome(), |_| "ok");
        let plugin = self.manifest.name.get_ref().clone();
        metrics::counter!("fanlight_plugin_calls_total", "plugin" => plugin.clone(), "outcome" => outcome).increment(1);
        metrics::histogram!("fanlight_plugin_seconds", "plugin" => plugin.clone()).record(started.elapsed());
        #[expect(clippy::cast_precision_loss, reason = "a histogram needs no more than 53 bits")]
        metrics::histogram!("fanlight_plugin_fuel", "plugin" => plugin).record(fuel as f64);
        answer
    }

    /// The answer, checked, and the fuel used.
    fn ask(&self, request: &Request) -> (Result<Vec<Verdict>, CallError>, u64) {
        let (answer, fuel) = call::run(self, |guest, store| guest.call_rank(store, request, &self.settings));
        let answer = answer
            .and_then(|a| a.map_err(|e| CallError::Refused(call::tame(&e, TEXT_MAX))))
            .and_then(|a| self.checked(a, request));
        (answer, fuel)
    }

    /// A guest may lie: indices it was not given, two verdicts on one store, scores and texts without bound.
    fn checked(&self, answer: Vec<Verdict>, request: &Request) -> Result<Vec<Verdict>, CallError> {
        let bytes: usize = answer.iter().map(|v| v.code.len() + v.text.len() + 32).sum();
        if bytes > self.limits.output {
            return Err(CallError::Limit(Limit::Output(self.limits.output)));
        }
        let mut seen = vec![false; request.stores.len()];
        for verdict in &answer {
            let bad = |text: &str| Err(CallError::BadAnswer(format!("{text} (store {})", verdict.store)));
            match seen.get_mut(verdict.store as usize) {
                None => return bad("a store that was not asked about"),
                Some(true) => return bad("two verdicts on one store"),
                Some(first) => *first = true,
            }
            if verdict.score > 1000 {
                return bad("a score over 1000");
            }
        }
        let tamed =
            |v: Verdict| Verdict { code: call::tame(&v.code, NAME_MAX), text: call::tame(&v.text, TEXT_MAX), ..v };
        Ok(answer.into_iter().map(tamed).collect())
    }

    /// Name in logs and metrics.
    pub fn name(&self) -> &str {
        self.manifest.name.get_ref()
    }

    /// Name and digest of the component: which bytes decided.
    pub fn id(&self) -> String {
        format!("{}@sha256:{}", self.name(), self.manifest.sha256.get_ref())
    }

    /// Custom properties that the plug-in is shown.
    pub fn properties(&self) -> &[String] {
        &self.manifest.properties
    }

    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(super) fn instantiate(&self, store: &mut Store<Host>) -> wasmtime::Result<Placement> {
        self.pre.instantiate(store)
    }
}

/// An invented request: two stores that differ in room and class.
fn sample() -> Request {
    let store = |id: &str, free| Candidate {
        id: id.into(),
        kind: "file".into(),
        labels: vec![("class".into(), id.into())],
        weight: 0,
        total: 1 << 40,
        free,
        in_flight: 0,
        latency_us: 1000,
    };
    let image = Image {
        id: "00000000-0000-4000-8000-000000000000".into(),
        project: Some("self-test".into()),
        size: Some(1 << 30),
        disk_format: Some("raw".into()),
        container_format: Some("bare".into()),
        visibility: "shared".into(),
        tags: Vec::new(),
        properties: Vec::new(),
        domain: None,
    };
    Request {
        image,
        stores: vec![store("fast", 1 << 39), store("slow", 1 << 38)],
        now_ms: 0,
        seed: 0,
        operation: "upload".into(),
    }
}
