//! The one place that writes to standard output: tables and colours for people, JSON for scripts.

use std::io::{self, Write};

use comfy_table::{ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};
use humansize::{BINARY, format_size};
use serde::Serialize;

use crate::{
    error::{Error, Result},
    telemetry::wants_color,
};

/// Where a command writes its answer.
pub struct Output {
    json: bool,
    color: bool,
}

impl Output {
    /// Standard output; `json` as the caller asked for.
    pub fn new(json: bool) -> Self {
        Self { json, color: !json && wants_color(&io::stdout()) }
    }

    /// For people, as in a pipe.
    #[cfg(test)]
    pub(super) fn uncoloured() -> Self {
        Self { json: false, color: false }
    }

    /// Whether the answer is for a script.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Writes text and ends the line.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn line(&self, text: impl AsRef<str>) -> Result<()> {
        write(text.as_ref())
    }

    /// Writes a value as JSON.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn json(&self, value: &impl Serialize) -> Result<()> {
        write(&serde_json::to_string_pretty(value).map_err(Error::internal)?)
    }

    /// Writes a table.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn table(&self, head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Result<()> {
        write(&table(head, rows))
    }

    /// Green text, on a terminal.
    pub fn good(&self, text: &str) -> String {
        self.paint("32", text)
    }

    /// Red text, on a terminal.
    pub fn bad(&self, text: &str) -> String {
        self.paint("31", text)
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Writes text and ends the line. A reader that went away (`| head`) is an error, not a panic.
pub(super) fn write(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(Error::internal)
}

/// Writes to standard error. There is nobody to tell when that fails.
pub(super) fn complain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// A table as wide as the terminal.
pub(super) fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(head);
    for row in rows {
        table.add_row(row);
    }
    table.to_string()
}

/// `21474836480` as `20 GiB`.
pub fn human_size(bytes: u64) -> String {
    format_size(bytes, BINARY)
}

/// `90s`, `1h 30m`.
pub(super) fn parse_duration(text: &str) -> Result<std::time::Duration, String> {
    let span: jiff::SignedDuration = text.parse().map_err(|_| "write it like `90m` or `1h 30m`".to_owned())?;
    span.try_into().map_err(|_| "must not be negative".to_owned())
}

/// `20GiB`, `20G`, `20 gb`, `512`: powers of 1024, as image sizes are.
pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = text.strip_prefix(digits).unwrap_or_default().trim().to_ascii_lowercase();
    let shift = match unit.trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        _ => return Err("write it like `20GiB`: a whole number and B, KiB, MiB, GiB, TiB or PiB".into()),
    };
    let number: u64 = digits.parse().map_err(|_| "write it like `20GiB`".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "is more than 16 EiB".to_owned())
}
