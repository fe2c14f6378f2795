//! The list of an `in:` filter: values between commas, some in double quotes, with `\"` inside of them.

use crate::error::{Error, Result};

/// The values of `list`.
///
/// # Errors
/// `Invalid` when a quote stands where no value begins or ends, or is never closed.
pub(super) fn split(list: &str) -> Result<Vec<String>> {
    let refused = |why: &str| Error::invalid(format!("Invalid filter value {}. {why}", super::short(list)));
    let mut words = Vec::new();
    let mut rest = list;
    loop {
        let (word, tail) = if let Some(quoted) = rest.strip_prefix('"') {
            let (word, tail) = close(quoted).ok_or_else(|| refused("The quote is not closed."))?;
            if !tail.is_empty() && !tail.starts_with(',') {
                return Err(refused("There is no comma after closing quotation mark."));
            }
            (word, tail)
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            let (word, tail) = rest.split_at(end);
            if has_bare_quote(word) {
                return Err(refused("There is no comma before opening quotation mark."));
            }
            (word.to_owned(), tail)
        };
        words.push(word);
        match tail.strip_prefix(',') {
            Some(more) => rest = more,
            None => return Ok(words),
        }
    }
}

/// The value up to the closing quote, unescaped, and what follows the quote.
fn close(text: &str) -> Option<(String, &str)> {
    let mut word = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((word, text.get(at + 1..)?)),
            '\\' => match chars.next()? {
                (_, quote @ '"') => word.push(quote),
                (_, other) => word.extend(['\\', other]),
            },
            c => word.push(c),
        }
    }
    None
}

/// A quote that no backslash escapes.
fn has_bare_quote(word: &str) -> bool {
    let mut before = None;
    word.chars().any(|c| {
        let bare = c == '"' && before != Some('\\');
        before = Some(c);
        bare
    })
}
