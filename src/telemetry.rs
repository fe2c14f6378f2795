//! Logs, metrics and the TLS provider: what a process sets up once, before anything else.

use std::{
    io::{BufWriter, IsTerminal},
    sync::OnceLock,
    time::Instant,
};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

use crate::{
    config::{Log, LogFormat},
    error::{Error, Result},
};

/// Upper bounds of every histogram, in seconds: from a cached answer to a slow upload.
const BUCKETS: &[f64] = &[
    0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
    2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
];

/// Upper bounds for the fuel of a plug-in call, in instructions.
const FUEL: &[f64] = &[1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10];

// Process-wide by nature: `metrics` has one recorder for all of the process.
static RECORDER: OnceLock<(PrometheusHandle, Instant)> = OnceLock::new();

/// Sets up log, metrics and TLS. To be called once, by a command that serves.
///
/// # Errors
/// When the filter does not parse, or something was set up already.
pub fn init(log: &Log) -> Result<LogWriter> {
    install_crypto();
    init_metrics()?;
    let filter = EnvFilter::builder()
        .parse(&log.filter)
        .map_err(|e| Error::invalid(format!("`{}` is not a log filter: {e}", log.filter)))?;
    // Lines are written by a thread of their own, several in one call; when it falls behind, requests wait for it
    // rather than lose a line.
    let (writer, guard) = NonBlockingBuilder::default().lossy(false).finish(BufWriter::new(std::io::stderr()));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    match log.format {
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init(),
        LogFormat::Pretty => builder.with_ansi(wants_color(&std::io::stderr())).try_init(),
    }
    .map_err(Error::internal)?;
    Ok(LogWriter { _guard: guard })
}

/// Keeps the log being written; dropping it writes what is left.
#[must_use]
pub struct LogWriter {
    _guard: WorkerGuard,
}

/// Whether colours belong on `stream`: a terminal, and `NO_COLOR` is not set.
pub fn wants_color(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Makes ring the TLS provider of the process. May be called again.
pub fn install_crypto() {
    // The only failure is that a provider is there already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn init_metrics() -> Result<()> {
    let builder = PrometheusBuilder::new().set_buckets(BUCKETS).map_err(Error::internal)?;
    let fuel = Matcher::Full("fanlight_plugin_fuel".into());
    let recorder = builder.set_buckets_for_metric(fuel, FUEL).map_err(Error::internal)?.build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|e| Error::internal(e.to_string()))?;
    let _ = RECORDER.set((handle, Instant::now()));
    metrics::describe_gauge!("process_resident_memory_bytes", "Resident memory of the process");
    metrics::describe_gauge!("process_open_fds", "Open file descriptors");
    metrics::describe_gauge!("fanlight_uptime_seconds", "Seconds since the start");
    metrics::describe_gauge!("fanlight_build_info", "Always 1; the labels say what runs");
    metrics::gauge!("fanlight_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(())
}

/// All metrics in the text form of Prometheus, with fresh figures of the process. Empty before [`init`].
pub fn render_metrics() -> String {
    let Some((handle, started)) = RECORDER.get() else { return String::new() };
    metrics::gauge!("fanlight_uptime_seconds").set(started.elapsed().as_secs_f64());
    if let Some(bytes) = resident_bytes() {
        metrics::gauge!("process_resident_memory_bytes").set(bytes);
    }
    if let Ok(fds) = std::fs::read_dir("/proc/self/fd") {
        // The folder that is being read is one of them.
        metrics::gauge!("process_open_fds").set(fds.count().saturating_sub(1) as f64);
    }
    handle.render()
}

/// Moves recorded samples into the histograms; without it they pile up until somebody scrapes. Every few seconds.
pub fn upkeep() {
    if let Some((handle, _)) = RECORDER.get() {
        handle.run_upkeep();
    }
}

fn resident_bytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_carry_the_process_and_fine_buckets() {
        init_metrics().unwrap();
        metrics::histogram!("test_seconds").record(0.00002);
        upkeep();
        let text = render_metrics();
        assert!(text.contains("fanlight_build_info{version=\""), "{text}");
        assert!(text.contains("test_seconds_bucket{le=\"0.00001\"} 0"), "{text}");
        assert!(text.contains("test_seconds_bucket{le=\"0.000025\"} 1"), "{text}");
        let rss = text.lines().find_map(|l| l.strip_prefix("process_resident_memory_bytes ")).unwrap();
        assert!(rss.parse::<f64>().unwrap() > 1e6, "{rss}");
        assert!(text.contains("process_open_fds "), "{text}");
    }
}
