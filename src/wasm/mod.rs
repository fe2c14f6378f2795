//! The plug-in host: WebAssembly components in a fresh instance a call, under limits, with nothing of the system in reach.
//!
//! * A guest has no clock, no network, no files, no randomness: only what the call gives it, and a bounded log.
//! * Fuel, wall clock, memory and output are limited for each plug-in; the limit that was hit is named.
//! * A trap ends its own call and nothing else: the instance is thrown away after every call, good or bad.
//! * The sandbox bounds running, not compiling: size and number of functions are capped before a byte is compiled, and
//!   native code is never read from anywhere.

mod call;
mod engine;
mod load;
mod manifest;
mod scan;
#[cfg(test)]
mod tests;

pub use call::{CallError, Limit};
pub use engine::Engine;
pub use load::{Plugin, Plugins};
pub use manifest::{Limits, Manifest};

mod bindings {
    #![expect(missing_docs, reason = "generated from wit/placement.wit, where every item is documented")]
    wasmtime::component::bindgen!({
        path: "wit",
        world: "placement",
        additional_derives: [Clone, PartialEq],
    });
}

pub use bindings::fanlight::placement::types;
