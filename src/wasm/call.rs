//! One call of a guest: a store of its own, limits set before anything of the guest runs, and a name for what went wrong.

use std::{fmt, time::Duration};

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::block_in_place,
};
use wasmtime::{ResourceLimiter, Store, Trap};

use super::{
    bindings::{Placement, PlacementImports},
    engine::{PARTS, TICK},
    load::Plugin,
    manifest::Limits,
};

/// Lines that a guest may log in one call.
const LOG_LINES: u32 = 16;
/// Characters of such a line.
const LOG_LINE_MAX: usize = 512;
/// Bytes that cross from guest to host in one answer or log line, beyond those that the answer may have: records have
/// overhead, and a list may name the same text over and over, so memory does not bound it.
const CROSSING_EXTRA: usize = 64 << 10;

/// The limit that ended a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Instructions.
    Fuel(u64),
    /// Wall clock.
    Deadline(Duration),
    /// Bytes of linear memory.
    Memory(usize),
    /// Bytes of text in the answer.
    Output(usize),
    /// Depth of calls.
    Stack,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fuel(n) => write!(f, "fuel of {n}"),
            Self::Deadline(d) => write!(f, "deadline of {} ms", d.as_millis()),
            Self::Memory(n) => write!(f, "memory of {n} bytes"),
            Self::Output(n) => write!(f, "output of {n} bytes"),
            Self::Stack => f.write_str("stack"),
        }
    }
}

/// Why a call gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// A limit of the plug-in was hit.
    #[error("plug-in hit its limit: {0}")]
    Limit(Limit),
    /// The guest trapped: a panic, mostly.
    #[error("plug-in trapped: {0}")]
    Trap(String),
    /// The guest answered with an error.
    #[error("plug-in failed: {0}")]
    Refused(String),
    /// The answer does not fit the question.
    #[error("plug-in gave a bad answer: {0}")]
    BadAnswer(String),
    /// All instances are in use, or the host has no memory for one more.
    #[error("no instance for the plug-in: {0}")]
    Busy(String),
}

impl CallError {
    /// One word for metrics.
    pub fn outcome(&self) -> &'static str {
        match self {
            Self::Limit(Limit::Fuel(_)) => "fuel",
            Self::Limit(Limit::Deadline(_)) => "deadline",
            Self::Limit(Limit::Memory(_)) => "memory",
            Self::Limit(Limit::Output(_)) => "output",
            Self::Limit(Limit::Stack) => "stack",
            Self::Trap(_) => "trap",
            Self::Refused(_) => "refused",
            Self::BadAnswer(_) => "bad_answer",
            Self::Busy(_) => "busy",
        }
    }
}

/// What the host keeps beside a guest while it runs.
pub(super) struct Host {
    plugin: String,
    limits: Limits,
    /// Bytes granted to all memories of the component together.
    memory: usize,
    /// Set when growth was refused: a guest without memory aborts, which looks like a panic.
    out_of_memory: bool,
    lines: u32,
    /// What the guest logged last. A panic's text can only come this way: the trap itself says `unreachable`.
    last_line: Option<String>,
}

impl Host {
    fn new(plugin: &str, limits: Limits) -> Self {
        Self { plugin: plugin.to_owned(), limits, memory: 0, out_of_memory: false, lines: 0, last_line: None }
    }
}

impl PlacementImports for Host {
    fn log(&mut self, text: String) {
        self.lines = self.lines.saturating_add(1);
        let line = tame(&text, LOG_LINE_MAX);
        match self.lines {
            0..=LOG_LINES => tracing::info!(target: "fanlight::plugin", plugin = self.plugin, line, "plug-in says"),
            n if n == LOG_LINES + 1 => {
                tracing::info!(target: "fanlight::plugin", plugin = self.plugin, "plug-in says more than is logged");
            }
            _ => {}
        }
        self.last_line = Some(line);
    }
}

/// Text of a guest for people: at most `max` characters of it, and no control characters.
pub(crate) fn tame(text: &str, max: usize) -> String {
    text.chars().take(max).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

impl super::bindings::fanlight::placement::types::Host for Host {}

impl ResourceLimiter for Host {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.memory.saturating_add(desired.saturating_sub(current));
        let granted = total <= self.limits.memory;
        if granted {
            self.memory = total;
        }
        self.out_of_memory |= !granted;
        Ok(granted)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= 10_000)
    }

    fn instances(&self) -> usize {
        PARTS.instances as usize
    }

    fn memories(&self) -> usize {
        PARTS.memories as usize
    }

    fn tables(&self) -> usize {
        PARTS.tables as usize
    }
}

/// Runs `call` in a fresh instance of `plugin`; also returns the fuel used.
pub(super) fn run<T>(
    plugin: &Plugin,
    call: impl FnOnce(&Placement, &mut Store<Host>) -> wasmtime::Result<T>,
) -> (Result<T, CallError>, u64) {
    let limits = plugin.limits();
    let mut store = Store::new(plugin.engine().raw(), Host::new(plugin.name(), limits));
    store.limiter(|host| host);
    // Limits come before the instance: a start function runs under them too.
    if let Err(error) = store.set_fuel(limits.fuel) {
        return (Err(CallError::Busy(error.to_string())), 0);
    }
    // One more, because the first tick may be due at once.
    let ticks = limits.deadline.as_millis().div_ceil(TICK.as_millis()) + 1;
    store.set_epoch_deadline(u64::try_from(ticks).unwrap_or(u64::MAX));
    store.set_hostcall_fuel(limits.output.saturating_add(CROSSING_EXTRA));
    store.epoch_deadline_trap();
    let outcome = aside(|| plugin.instantiate(&mut store).and_then(|guest| call(&guest, &mut store)));
    let used = limits.fuel.saturating_sub(store.get_fuel().unwrap_or(0));
    (outcome.map_err(|error| explain(&error, store.data())), used)
}

/// Runs what may take as long as a deadline allows. On a worker of the async runtime, its other tasks move on first.
fn aside<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => block_in_place(work),
        _ => work(),
    }
}

fn explain(error: &wasmtime::Error, host: &Host) -> CallError {
    let limit = match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => Limit::Fuel(host.limits.fuel),
        Some(Trap::Interrupt) => Limit::Deadline(host.limits.deadline),
        Some(Trap::StackOverflow) => Limit::Stack,
        // A guest that lives on after refused growth may still run into one of the above.
        _ if host.out_of_memory => Limit::Memory(host.limits.memory),
        // The runtime's own type for it is private; a test holds this text to what the runtime says.
        None if error.root_cause().to_string().contains("fuel allocated for hostcalls") => {
            Limit::Output(host.limits.output)
        }
        _ if error.is::<wasmtime::PoolConcurrencyLimitError>() => return CallError::Busy(error.to_string()),
        trap => {
            let text = trap.map_or_else(|| error.root_cause().to_string(), ToString::to_string);
            let text = text.trim_start_matches("wasm trap: ");
            return CallError::Trap(match &host.last_line {
                Some(line) => format!("{text}, after it logged `{line}`"),
                None => text.to_owned(),
            });
        }
    };
    CallError::Limit(limit)
}
