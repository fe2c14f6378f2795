//! What only the inside can show: calls that wait for one another without running. Guests that go wrong are in
//! `tests/wasm`.

use super::{CallError, Engine, Plugin, Plugins, call, engine::CONCURRENT};

/// Holds `depth` instances at once and asks the last one who it is.
fn nested(plugin: &Plugin, depth: u32) -> Result<String, CallError> {
    let (answer, _) = call::run(plugin, |guest, store| match depth {
        1 => guest.call_describe(store).map(|d| Ok(d.name)),
        _ => Ok(nested(plugin, depth - 1)),
    });
    answer?
}

#[test]
fn a_call_beyond_the_pool_is_a_fault_and_passes() {
    let mut files = Plugins::shipped();
    files[0].1.extend_from_slice(b"\n[limits]\ndeadline-ms = 1000\n");
    let plugins = Plugins::load(&files, &Engine::new().unwrap()).unwrap_or_else(|faults| panic!("{faults:?}"));
    let plugin = &plugins.placement()[0];
    assert_eq!(nested(plugin, CONCURRENT).unwrap(), "most-free");
    let error = nested(plugin, CONCURRENT + 1).unwrap_err();
    assert_eq!(error.outcome(), "busy", "{error}");
    assert_eq!(nested(plugin, CONCURRENT).unwrap(), "most-free");
}
