//! A table of the file, read key by key.
//!
//! Every read notes a fault and goes on with a default, so that one run reports all of them; `serde` stops at the
//! first. What was never asked for is an unknown key.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    ops::{Range, RangeInclusive},
    path::PathBuf,
    str::FromStr,
};

use secrecy::SecretString;
use toml::{
    Spanned,
    de::{DeArray, DeTable, DeValue},
};

use super::fault::Fault;

/// Characters of one value at most; the longest sensible ones are paths and URLs.
const TEXT_MAX: usize = 4096;
/// Values of one list at most.
const LIST_MAX: usize = 1000;

/// The file, and what was found in it.
pub(super) struct Source<'a> {
    file: String,
    text: &'a str,
    faults: RefCell<Vec<Fault>>,
    known: RefCell<BTreeSet<String>>,
}

impl<'a> Source<'a> {
    pub(super) fn new(file: &str, text: &'a str) -> Self {
        Self { file: file.to_owned(), text, faults: RefCell::default(), known: RefCell::default() }
    }

    /// Notes a fault at a byte of the file.
    pub(super) fn fault_at(&self, byte: usize, key: &str, problem: impl Display, help: impl Display) {
        let before = self.text.get(..byte).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        self.push(&self.file, Some((line, column)), key, problem, help);
    }

    /// Notes a fault of an environment variable.
    pub(super) fn fault_of_variable(&self, name: &str, problem: impl Display, help: impl Display) {
        self.push("environment", None, name, problem, help);
    }

    fn push(&self, file: &str, at: Option<(usize, usize)>, key: &str, problem: impl Display, help: impl Display) {
        self.faults.borrow_mut().push(Fault {
            file: file.to_owned(),
            line: at.map(|(line, _)| line),
            column: at.map(|(_, column)| column),
            key: key.to_owned(),
            problem: problem.to_string(),
            help: help.to_string(),
        });
    }

    /// The faults, and every key that was asked for.
    pub(super) fn finish(self) -> (Vec<Fault>, BTreeSet<String>) {
        (self.faults.into_inner(), self.known.into_inner())
    }
}

/// One table of the file; an absent one reads as empty.
pub(super) struct Section<'a> {
    source: &'a Source<'a>,
    name: String,
    /// Like `name`, with `ID` in the place of names that the operator chose.
    pattern: String,
    table: Option<&'a DeTable<'a>>,
    at: usize,
    asked: RefCell<BTreeSet<String>>,
}

impl<'a> Section<'a> {
    /// The whole file.
    pub(super) fn root(source: &'a Source<'a>, table: &'a DeTable<'a>) -> Self {
        Self::new(source, String::new(), String::new(), Some(table), 0)
    }

    fn new(source: &'a Source<'a>, name: String, pattern: String, table: Option<&'a DeTable<'a>>, at: usize) -> Self {
        Self { source, name, pattern, table, at, asked: RefCell::default() }
    }

    /// Whether the file has this table.
    pub(super) fn is_present(&self) -> bool {
        self.table.is_some()
    }

    /// Whether the file sets `key`.
    pub(super) fn has(&self, key: &str) -> bool {
        self.value(key).is_some()
    }

    fn value(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        if self.asked.borrow_mut().insert(key.to_owned()) {
            self.source.known.borrow_mut().insert(join(&self.pattern, key));
        }
        self.table?.get(key)
    }

    /// Notes a fault at the value of `key`, or at the head of the table when it is not set.
    pub(super) fn fault(&self, key: &str, problem: impl Display, help: impl Display) {
        let at = self.table.and_then(|t| t.get(key)).map_or(self.at, |v| v.span().start);
        self.source.fault_at(at, &join(&self.name, key), problem, help);
    }

    /// Notes a fault of the whole table.
    pub(super) fn fault_here(&self, problem: impl Display, help: impl Display) {
        self.source.fault_at(self.at, &self.name, problem, help);
    }

    fn wrong_type(&self, at: Range<usize>, key: &str, found: &DeValue<'_>, wanted: &str) {
        let key = join(&self.name, key);
        let problem = format!("is {}, must be {wanted}", kind(found));
        self.source.fault_at(at.start, &key, problem, format!("write {wanted}"));
    }

    /// A string. Its length is bounded.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::String(s) if s.len() > TEXT_MAX => {
                self.fault(key, format!("has {} bytes, at most {TEXT_MAX} are taken", s.len()), "shorten it");
                None
            }
            DeValue::String(s) => Some(s.clone().into_owned()),
            other => {
                self.wrong_type(value.span(), key, other, "a string in quotes");
                None
            }
        }
    }

    /// A string that is not empty and must be set.
    pub(super) fn required(&self, key: &str, why: &str) -> String {
        match (self.has(key), self.text(key)) {
            (true, Some(text)) if text.is_empty() => self.fault(key, "is empty", why),
            (true, Some(text)) => return text,
            (true, None) => {}
            (false, _) => self.fault(key, "is missing", why),
        }
        String::new()
    }

    /// A path that is not empty.
    pub(super) fn path(&self, key: &str) -> Option<PathBuf> {
        let text = self.text(key)?;
        if text.is_empty() {
            self.fault(key, "is empty", "write a path, or leave the key out");
            return None;
        }
        Some(text.into())
    }

    /// A string that shows in no output.
    pub(super) fn secret(&self, key: &str) -> Option<SecretString> {
        self.text(key).map(SecretString::from)
    }

    /// A string that parses as `T`; `example` shows what is wanted. The value itself is shown: not for secrets.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&self, key: &str, example: &str) -> Option<T> {
        let text = self.text(key)?;
        text.parse()
            .map_err(|e| self.fault(key, format!("`{text}` is not valid: {e}"), format!("for instance `{example}`")))
            .ok()
    }

    /// One of a closed set of words.
    pub(super) fn choice<T: Copy>(&self, key: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(key)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let all: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
            self.fault(key, format!("`{text}` is not known"), format!("one of {}", all.join(", ")));
        }
        found
    }

    pub(super) fn boolean(&self, key: &str, default: bool) -> bool {
        match self.value(key).map(|v| (v.get_ref(), v.span())) {
            None => default,
            Some((DeValue::Boolean(b), _)) => *b,
            Some((other, at)) => {
                self.wrong_type(at, key, other, "`true` or `false`");
                default
            }
        }
    }

    /// A whole number within `range`; the default outside of it.
    pub(super) fn number<T>(&self, key: &str, range: RangeInclusive<T>, default: T) -> T
    where
        T: Copy + Display + TryFrom<i64> + PartialOrd,
    {
        let Some(number) = self.integer(key) else { return default };
        match T::try_from(number).ok().filter(|n| range.contains(n)) {
            Some(number) => number,
            None => {
                let (low, high) = (range.start(), range.end());
                self.fault(key, format!("{number} is out of range"), format!("{low} to {high}; {default} if not set"));
                default
            }
        }
    }

    /// A limit: a whole number, or -1 for none.
    pub(super) fn limit<T: Copy + TryFrom<i64>>(&self, key: &str, default: Option<T>) -> Option<T> {
        match self.integer(key) {
            None => default,
            Some(-1) => None,
            Some(number) => match T::try_from(number) {
                Ok(number) => Some(number),
                Err(_) => {
                    self.fault(key, format!("{number} is out of range"), "0 or more, or -1 for no limit");
                    default
                }
            },
        }
    }

    fn integer(&self, key: &str) -> Option<i64> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::Integer(n) => match i64::from_str_radix(n.as_str(), n.radix()) {
                Ok(n) => Some(n),
                Err(_) => {
                    self.fault(key, format!("{n} is out of range"), "write a number of at most 63 bits");
                    None
                }
            },
            other => {
                self.wrong_type(value.span(), key, other, "a whole number");
                None
            }
        }
    }

    fn array(&self, key: &str) -> Option<&'a DeArray<'a>> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::Array(a) if a.len() > LIST_MAX => {
                self.fault(key, format!("has {} values, at most {LIST_MAX} are taken", a.len()), "shorten it");
                None
            }
            DeValue::Array(a) => Some(a),
            other => {
                self.wrong_type(value.span(), key, other, "a list such as `[\"a\", \"b\"]`");
                None
            }
        }
    }

    /// A list of strings, each of which parses as `T`.
    pub(super) fn list<T: FromStr<Err: Display>>(&self, key: &str, example: &str) -> Option<Vec<T>> {
        let mut all = Vec::new();
        for value in self.array(key)?.iter() {
            let DeValue::String(text) = value.get_ref() else {
                self.wrong_type(value.span(), key, value.get_ref(), "a list of strings");
                continue;
            };
            match text.parse() {
                Ok(parsed) => all.push(parsed),
                Err(e) => {
                    let problem = format!("`{text}` is not valid: {e}");
                    let key = join(&self.name, key);
                    self.source.fault_at(value.span().start, &key, problem, format!("for instance `{example}`"));
                }
            }
        }
        Some(all)
    }

    /// A table of strings whose keys the operator chose.
    pub(super) fn strings(&self, key: &str) -> BTreeMap<String, String> {
        let section = self.section(key);
        let keys: Vec<String> = section.keys().collect();
        keys.into_iter().filter_map(|k| section.text(&k).map(|v| (k, v))).collect()
    }

    /// The table `key`.
    pub(super) fn section(&self, key: &str) -> Section<'a> {
        let (name, pattern) = (join(&self.name, key), join(&self.pattern, key));
        let Some(value) = self.value(key) else {
            return Section::new(self.source, name, pattern, None, self.at);
        };
        let table = match value.get_ref() {
            DeValue::Table(table) => Some(table),
            other => {
                self.wrong_type(value.span(), key, other, &format!("a table such as `[{name}]`"));
                None
            }
        };
        Section::new(self.source, name, pattern, table, value.span().start)
    }

    /// The tables in this one, whose names the operator chose.
    pub(super) fn children(&self) -> Vec<(String, Section<'a>)> {
        let pattern = join(&self.pattern, "ID");
        let child = |id: String| {
            let mut child = self.section(&id);
            child.pattern.clone_from(&pattern);
            (id, child)
        };
        self.keys().map(child).collect()
    }

    fn keys(&self) -> impl Iterator<Item = String> + use<'a> {
        self.table.into_iter().flat_map(|t| t.keys()).map(|k| k.get_ref().clone().into_owned())
    }

    /// Ends the table: every key that was not asked for is unknown.
    pub(super) fn finish(self) {
        let asked = self.asked.borrow();
        for key in self.table.into_iter().flat_map(|t| t.keys()) {
            let name = key.get_ref().as_ref();
            if asked.contains(name) {
                continue;
            }
            let near = asked.iter().map(|k| (strsim::jaro_winkler(k, name), k)).max_by(|a, b| a.0.total_cmp(&b.0));
            let help = match near {
                Some((score, near)) if score > 0.8 => format!("did you mean `{near}`?"),
                _ => format!("known here: {}", asked.iter().cloned().collect::<Vec<_>>().join(", ")),
            };
            self.source.fault_at(key.span().start, &join(&self.name, name), "is not a known key", help);
        }
    }
}

fn join(section: &str, key: &str) -> String {
    if section.is_empty() || key.is_empty() { format!("{section}{key}") } else { format!("{section}.{key}") }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
