//! Regular expressions on names as patterns of Cedar's `like`, which knows `*` and nothing else.

use rand::{RngExt, rngs::StdRng, seq::IndexedRandom};
use regex_syntax::hir::{Class, Hir, HirKind, Look};

use super::condition::Condition;

/// Patterns that one regular expression may stand for.
const PATTERNS_MAX: usize = 64;

/// A piece of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Letter(char),
    Anything,
    Start,
    End,
}

/// A pattern of `like` in the making.
#[derive(Default)]
struct Like {
    text: String,
    /// Whether it ends in a `*` that stands for anything; one is enough.
    open: bool,
}

impl Like {
    fn anything(&mut self) {
        if !self.open {
            self.text.push('*');
        }
        self.open = true;
    }

    fn letter(&mut self, letter: char) {
        match letter {
            '*' => self.text.push_str("\\*"),
            c => self.text.extend(c.escape_debug()),
        }
        self.open = false;
    }
}

/// The condition that a name is found by a regular expression, anywhere in it, as Glance searches.
pub(super) fn names(pattern: &str) -> Result<Condition, String> {
    let mut found = Vec::new();
    for pieces in pieces(pattern)? {
        let start = pieces.first() == Some(&Piece::Start);
        let end = pieces.last() == Some(&Piece::End) && pieces.len() > usize::from(start);
        let inner = pieces.get(usize::from(start)..pieces.len() - usize::from(end)).unwrap_or_default();
        let mut like = Like::default();
        if !start {
            like.anything();
        }
        for piece in inner {
            match piece {
                Piece::Letter(c) => like.letter(*c),
                Piece::Anything => like.anything(),
                Piece::Start | Piece::End => return Err("`^` or `$` stands in the middle".into()),
            }
        }
        if !end {
            like.anything();
        }
        found.push(match like.text.as_str() {
            "*" => Condition::Constant(true),
            text => Condition::atom(format!("resource.name like \"{text}\"")),
        });
    }
    Ok(Condition::any(found))
}

/// A name that `pattern` finds, or nearly.
pub(super) fn name(rng: &mut StdRng, pattern: &str) -> String {
    let all = pieces(pattern).unwrap_or_default();
    let words = ["", "x", "billing_", "*", "\\"];
    let mut name = String::new();
    for piece in all.choose(rng).into_iter().flatten() {
        match piece {
            Piece::Letter(c) => name.push(*c),
            Piece::Anything => name.push_str(words.choose(rng).unwrap_or(&"")),
            Piece::Start | Piece::End => {}
        }
    }
    match rng.random_range(0..6) {
        0 => name.push('y'),
        1 => name.insert(0, 'y'),
        2 => drop(name.pop()),
        _ => {}
    }
    name
}

fn pieces(pattern: &str) -> Result<Vec<Vec<Piece>>, String> {
    if !has_plain_classes(pattern) {
        return Err("a class within a class, `&&`, `--`, `~~` and `||` mean something else to Python".into());
    }
    let hir = regex_syntax::parse(pattern).map_err(|e| format!("no regular expression that is known here: {e}"))?;
    expand(&hir)
}

/// Whether there is nothing between `[` and `]` that Python reads as letters and others as operations.
fn has_plain_classes(pattern: &str) -> bool {
    let (mut class, mut last) = (false, None);
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => drop(letters.next()),
            '[' if class => return false,
            '&' | '-' | '~' | '|' if class && last == Some(letter) => return false,
            '[' => class = true,
            ']' => class = false,
            _ => {}
        }
        last = Some(letter);
    }
    true
}

fn expand(hir: &Hir) -> Result<Vec<Vec<Piece>>, String> {
    let all = match hir.kind() {
        HirKind::Empty => vec![Vec::new()],
        HirKind::Literal(literal) => {
            let text = std::str::from_utf8(&literal.0).map_err(|_| "it matches bytes that are no text".to_owned())?;
            vec![text.chars().map(Piece::Letter).collect()]
        }
        HirKind::Class(class) => letters(class)?.into_iter().map(|c| vec![Piece::Letter(c)]).collect(),
        HirKind::Look(Look::Start) => vec![vec![Piece::Start]],
        HirKind::Look(Look::End) => vec![vec![Piece::End]],
        HirKind::Look(_) => return Err("word boundaries have no counterpart".into()),
        HirKind::Repetition(r) if is_dot(&r.sub) && (r.min, r.max) == (0, None) => vec![vec![Piece::Anything]],
        HirKind::Repetition(r) if (r.min, r.max) == (0, Some(1)) => {
            let mut all = expand(&r.sub)?;
            all.push(Vec::new());
            all
        }
        HirKind::Repetition(_) => return Err("of repetitions, only `.*` and `?` have a counterpart".into()),
        HirKind::Capture(capture) => expand(&capture.sub)?,
        HirKind::Alternation(parts) => parts.iter().map(expand).collect::<Result<Vec<_>, _>>()?.concat(),
        HirKind::Concat(parts) => {
            let mut all: Vec<Vec<Piece>> = vec![Vec::new()];
            for part in parts {
                let tails = expand(part)?;
                if all.len() * tails.len() > PATTERNS_MAX {
                    return Err(too_many());
                }
                let with =
                    |head: &Vec<Piece>| tails.iter().map(|tail| [head.as_slice(), tail].concat()).collect::<Vec<_>>();
                all = all.iter().flat_map(with).collect();
            }
            all
        }
    };
    if all.len() > PATTERNS_MAX { Err(too_many()) } else { Ok(all) }
}

fn too_many() -> String {
    format!("it stands for more than {PATTERNS_MAX} patterns")
}

/// Every character but the end of a line.
fn is_dot(hir: &Hir) -> bool {
    matches!(hir.kind(), HirKind::Class(_)) && *hir == Hir::dot(regex_syntax::hir::Dot::AnyCharExceptLF)
}

fn letters(class: &Class) -> Result<Vec<char>, String> {
    let Class::Unicode(class) = class else { return Err("it matches bytes that are no text".into()) };
    let count: usize = class.ranges().iter().map(|r| r.len()).sum();
    if count > PATTERNS_MAX {
        return Err(too_many());
    }
    Ok(class.ranges().iter().flat_map(|r| r.start()..=r.end()).collect())
}
