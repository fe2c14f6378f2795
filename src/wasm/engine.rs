//! The one engine of the process, and the clock that bounds calls.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use wasmtime::{Config, Enabled, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

use crate::error::{Error, Result};

/// Distance of the ticks by which a running guest is interrupted: how exact a deadline is.
pub(super) const TICK: Duration = Duration::from_millis(5);
/// Calls that may run at once, over all generations of rules.
pub(super) const CONCURRENT: u32 = 64;
/// No guest gets more memory than this, whatever its manifest says.
pub(super) const MEMORY_MAX: usize = 64 << 20;

/// Parts of a component that a pool hands out. What the component linker makes of a guest is three modules with one
/// memory; a limit keeps one plug-in from using up what the others need.
pub(super) struct Parts {
    pub(super) instances: u32,
    pub(super) memories: u32,
    pub(super) tables: u32,
}

/// What one call may take.
pub(super) const PARTS: Parts = Parts { instances: 8, memories: 2, tables: 4 };

/// Compiles and runs components. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: wasmtime::Engine,
    _ticker: Arc<Ticker>,
}

/// Ends the ticking thread with the last engine.
struct Ticker(std::sync::mpsc::Sender<()>);

impl Engine {
    /// An engine with its ticker.
    ///
    /// # Errors
    /// `Internal` when neither the pooling nor the plain allocator can be had.
    pub fn new() -> Result<Self> {
        let inner = wasmtime::Engine::new(&config(true)).or_else(|error| {
            tracing::warn!(%error, "no pool of instances, each call maps its own memory");
            wasmtime::Engine::new(&config(false))
        });
        let inner = inner.map_err(Error::internal)?;
        let (alive, ended) = std::sync::mpsc::channel();
        let weak = inner.weak();
        let tick = move || {
            let mut next = Instant::now() + TICK;
            while let Err(std::sync::mpsc::RecvTimeoutError::Timeout) =
                ended.recv_timeout(next.saturating_duration_since(Instant::now()))
            {
                let Some(engine) = weak.upgrade() else { return };
                engine.increment_epoch();
                // Ticks that a busy machine swallowed are not made up for: a burst would end calls that just began.
                next = Instant::now().max(next) + TICK;
            }
        };
        thread::Builder::new().name("plugin-clock".into()).spawn(tick).map_err(Error::internal)?;
        Ok(Self { inner, _ticker: Arc::new(Ticker(alive)) })
    }

    pub(super) fn raw(&self) -> &wasmtime::Engine {
        &self.inner
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        // The thread may be gone already; there is nothing else to end.
        let _ = self.0.send(());
    }
}

fn config(pooling: bool) -> Config {
    let mut config = Config::new();
    config.wasm_component_model(true).consume_fuel(true).epoch_interruption(true).max_wasm_stack(512 << 10);
    config.cranelift_opt_level(OptLevel::Speed);
    if pooling {
        let mut pool = PoolingAllocationConfig::new();
        pool.total_component_instances(CONCURRENT)
            .total_core_instances(CONCURRENT * PARTS.instances)
            .total_memories(CONCURRENT * PARTS.memories)
            .total_tables(CONCURRENT * PARTS.tables)
            .max_memory_size(MEMORY_MAX)
            .table_elements(10_000)
            .linear_memory_keep_resident(256 << 10)
            .table_keep_resident(16 << 10)
            .pagemap_scan(Enabled::Auto);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        config.memory_reservation(MEMORY_MAX as u64).memory_guard_size(64 << 10);
    }
    config
}
