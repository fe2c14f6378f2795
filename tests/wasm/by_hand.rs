//! Answers and components that no compiler makes, and what is logged and counted of a call.

use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use fanlight::wasm::{CallError, Engine, Limit, Plugin, Plugins, types};

use super::{fault, files};

const FLOODS: u64 = 1;
const SHARES_ONE_TEXT: u64 = 2;
const POINTS_OUTSIDE: u64 = 3;
const NOT_UTF8: u64 = 4;

const TEXT: &str = include_str!("../fixtures/by-hand.wat");
const PATIENT: &str = "[limits]\ndeadline-ms = 1000";

fn loaded() -> Plugins {
    let wasm = wat::parse_str(TEXT).unwrap();
    Plugins::load(&files("odd", &wasm, PATIENT), &Engine::new().unwrap()).map_err(|f| format!("{f:?}")).unwrap()
}

fn request(size: u64) -> types::Request {
    let mut request = super::request("blue", 3);
    request.image.size = Some(size);
    request
}

/// Calls `plugin` with an image of `size`, and proves that a call after it works.
fn failure(plugin: &Plugin, size: u64) -> CallError {
    let error = plugin.rank(&request(size)).unwrap_err();
    let scores: Vec<_> = plugin.rank(&request(1 << 20)).unwrap().iter().map(|v| (v.store, v.score)).collect();
    assert_eq!(scores, [(0, 0), (1, 1), (2, 2)]);
    error
}

/// The fault of a component with `new` in place of `old`.
fn changed(old: &str, new: &str) -> String {
    assert!(TEXT.contains(old), "{old}");
    fault("odd", &wat::parse_str(TEXT.replace(old, new)).unwrap(), PATIENT).to_string()
}

#[test]
fn texts_that_share_one_place_are_not_copied_a_thousand_times() {
    let plugins = loaded();
    let error = failure(&plugins.placement()[0], SHARES_ONE_TEXT);
    assert!(matches!(error, CallError::Limit(Limit::Output(65_536))), "{error:?}");
}

#[test]
fn texts_that_cannot_be_read_end_the_call() {
    let plugins = loaded();
    for (size, reason) in [(POINTS_OUTSIDE, "out of bounds"), (NOT_UTF8, "utf-8")] {
        let error = failure(&plugins.placement()[0], size);
        assert_eq!(error.outcome(), "trap");
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[test]
fn sixteen_lines_of_a_flood_are_logged_and_one_about_the_rest() {
    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);
    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let plugins = loaded();
    let sink = Sink::default();
    let writer = sink.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    tracing::subscriber::with_default(subscriber, || {
        assert_eq!(plugins.placement()[0].rank(&request(FLOODS)).unwrap().len(), 3);
    });
    let log = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<_> = log.lines().filter(|l| l.contains("plug-in says")).collect();
    assert_eq!(lines.len(), 17, "{log}");
    assert!(lines[16].contains("more than is logged") && lines.iter().all(|l| l.len() < 700), "{log}");
}

#[test]
fn calls_of_requests_are_counted_and_those_of_the_check_are_not() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        let plugins = loaded();
        for size in [1 << 20, SHARES_ONE_TEXT, NOT_UTF8, NOT_UTF8] {
            let _ = plugins.placement()[0].rank(&request(size));
        }
    });
    let page = handle.render();
    for (outcome, count) in [("ok", 1), ("output", 1), ("trap", 2)] {
        let line = format!("fanlight_plugin_calls_total{{plugin=\"odd\",outcome=\"{outcome}\"}} {count}\n");
        assert!(page.contains(&line), "{line} is not in\n{page}");
    }
    assert!(page.contains("fanlight_plugin_seconds") && page.contains("fanlight_plugin_fuel"), "{page}");
}

#[test]
fn types_must_fit_not_only_names() {
    let fault = changed("(field \"score\" u32)", "(field \"score\" s32)");
    assert!(fault.starts_with("odd.wasm: does not fit world") && fault.contains("field score"), "{fault}");
}

#[test]
fn memories_of_a_component_count_together() {
    // 256 pages are 16 MiB, and the guest has 4 of its own.
    let beside = |pages: u32| {
        let module = format!("(core module $Ballast (memory {pages})) (core instance (instantiate $Ballast))");
        wat::parse_str(TEXT.replace("(core module $Guest", &format!("{module} (core module $Guest"))).unwrap()
    };
    assert!(Plugins::load(&files("odd", &beside(252), PATIENT), &Engine::new().unwrap()).is_ok());
    let fault = fault("odd", &beside(253), PATIENT);
    assert!(fault.text.contains("memory of 16777216 bytes"), "{fault}");
}

#[test]
fn no_component_takes_more_than_its_part_of_the_pool() {
    let seven = "(core instance (instantiate $Empty))".repeat(7);
    let fault = changed("(core module $Guest", &format!("(core module $Empty) {seven} (core module $Guest"));
    assert!(fault.contains("`describe`") && fault.contains("instance count too high"), "{fault}");
}

#[test]
fn functions_are_counted_over_all_modules() {
    let half = format!("(core module {})", "(func)".repeat(10_001));
    let nested = format!("(component {half})");
    let fault = changed("(core module $Guest", &format!("{half} {nested} (core module $Guest"));
    assert!(fault.contains("has more than 20000 functions"), "{fault}");
}
