//! Glance's property protections: sections of an INI file whose names are regular expressions. The first section that
//! matches a property's name decides; without one, nobody may do anything with the property.
//!
//! Read here by hand: no INI library keeps lines, order and names with `]` in them, and all three count.

use std::fmt::Write;

use regex_syntax::hir::{Class, Hir, HirKind, Look};

use super::{
    condition::{Condition, quoted},
    convert::{Target, convert},
    rules::Rules,
};
use crate::rules::Fault;

/// Sections of a file.
const SECTIONS_MAX: usize = 256;
/// Patterns that one regular expression may stand for.
const PATTERNS_MAX: usize = 64;
/// What may be done with a property.
const OPERATIONS: [&str; 4] = ["create", "read", "update", "delete"];

/// How the file names those who may: `property_protection_rule_format` of Glance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// Roles, parted by commas
    #[default]
    Roles,
    /// One rule of the rules file
    Policies,
}

/// One section.
struct Section {
    pattern: String,
    line: usize,
    /// Of each operation, who may.
    who: [Option<Condition>; 4],
}

/// The policies of a file of property protections.
///
/// # Errors
/// Everything in it that Glance would refuse too, and what has no counterpart.
pub fn protections(file: &str, text: &str, mode: Mode, rules: &Rules) -> Result<String, Vec<Fault>> {
    let sections = read(file, text, mode, rules)?;
    let mut out =
        format!("// Written by `fanlight policy import` from {file}: the first section that matches a name decides.\n");
    let (mut earlier, mut faults) = (Vec::new(), Vec::new());
    for (number, section) in sections.iter().enumerate() {
        let names = match names(&section.pattern) {
            Ok(names) => names,
            Err(why) => {
                faults.push(Fault::new(file, Some(section.line), format!("section `{}`: {why}", section.pattern)));
                continue;
            }
        };
        for (operation, who) in OPERATIONS.iter().zip(&section.who) {
            let rest = Condition::any(earlier.clone()).negated();
            let condition = Condition::all([names.clone(), rest, who.clone().unwrap_or(Condition::Constant(false))]);
            if condition == Condition::Constant(false) {
                continue;
            }
            let _ = write!(
                out,
                "\n@id(\"property.{}.{operation}\")\n@source({})\n@section({})\npermit (principal, action == \
                 Action::\"{operation}_property\", resource)",
                number + 1,
                quoted(&format!("{file}:{}", section.line)),
                quoted(&section.pattern),
            );
            match condition {
                Condition::Constant(_) => out.push_str(";\n"),
                condition => drop(writeln!(out, " when {{ {condition} }};")),
            }
        }
        earlier.push(names);
    }
    if faults.is_empty() { Ok(out) } else { Err(faults) }
}

fn read(file: &str, text: &str, mode: Mode, rules: &Rules) -> Result<Vec<Section>, Vec<Fault>> {
    let (mut sections, mut faults): (Vec<Section>, Vec<Fault>) = (Vec::new(), Vec::new());
    for (number, line) in text.lines().enumerate().map(|(n, line)| (n + 1, line.trim())) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(pattern) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            sections.push(Section { pattern: pattern.to_owned(), line: number, who: [None, None, None, None] });
            continue;
        }
        let entry = entry(line, mode, rules);
        match (sections.last_mut(), entry) {
            (Some(section), Ok((slot, who))) => {
                if let Some(place) = section.who.get_mut(slot) {
                    *place = Some(who);
                }
            }
            (None, _) => faults.push(Fault::new(file, Some(number), "a `[section]` is expected before this line")),
            (_, Err(why)) => faults.push(Fault::new(file, Some(number), why)),
        }
    }
    for section in &sections {
        for (operation, who) in OPERATIONS.iter().zip(&section.who) {
            if who.is_none() && faults.is_empty() {
                let why = format!("section `{}` has no `{operation}`", section.pattern);
                faults.push(Fault::new(file, Some(section.line), why));
            }
        }
    }
    if sections.len() > SECTIONS_MAX {
        faults.push(Fault::new(file, None, format!("more than {SECTIONS_MAX} sections")));
    }
    if faults.is_empty() { Ok(sections) } else { Err(faults) }
}

/// `operation = who`: the operation's number, and the condition on the caller.
fn entry(line: &str, mode: Mode, rules: &Rules) -> Result<(usize, Condition), String> {
    let (operation, who) = line.split_once(['=', ':']).ok_or_else(|| format!("`{line}` has no `=`"))?;
    let operation = operation.trim();
    let slot = OPERATIONS.iter().position(|o| *o == operation);
    let slot = slot.ok_or_else(|| format!("`{operation}` is none of {}", OPERATIONS.join(", ")))?;
    let words: Vec<String> = who.split(',').map(|w| w.trim().to_owned()).filter(|w| !w.is_empty()).collect();
    let has = |word: &str| words.iter().any(|w| w == word);
    if mode == Mode::Policies {
        return match words.as_slice() {
            [] => Ok((slot, Condition::Constant(false))),
            [rule] => convert(&rules.resolved(rule)?, Target::Empty).map(|condition| (slot, condition)),
            _ => Err(format!("`{operation}` names more than one rule")),
        };
    }
    let condition = match (has("@"), has("!")) {
        (true, true) => return Err(format!("`{operation}` has both `@` and `!`")),
        (true, false) => Condition::Constant(true),
        (false, true) => Condition::Constant(false),
        (false, false) => Condition::any(
            words
                .iter()
                .map(|role| Condition::atom(format!("principal.roles.contains({})", quoted(&role.to_lowercase())))),
        ),
    };
    Ok((slot, condition))
}

/// A piece of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Letter(char),
    Anything,
    Start,
    End,
}

/// The condition that a name is found by a regular expression, anywhere in it, as Glance searches.
fn names(pattern: &str) -> Result<Condition, String> {
    let hir = regex_syntax::parse(pattern).map_err(|e| format!("no regular expression that is known here: {e}"))?;
    let mut found = Vec::new();
    for pieces in expand(&hir)? {
        let start = pieces.first() == Some(&Piece::Start);
        let end = pieces.last() == Some(&Piece::End) && pieces.len() > usize::from(start);
        let inner = pieces.get(usize::from(start)..pieces.len() - usize::from(end)).unwrap_or_default();
        let mut text = if start { String::new() } else { "*".to_owned() };
        for piece in inner {
            match piece {
                Piece::Letter('*') => text.push_str("\\*"),
                Piece::Letter(c) => text.extend(c.escape_debug()),
                Piece::Anything => text.push('*'),
                Piece::Start | Piece::End => return Err("`^` or `$` stands in the middle".into()),
            }
        }
        if !end {
            text.push('*');
        }
        let text = text.replace("**", "*");
        found.push(match text.as_str() {
            "*" => Condition::Constant(true),
            _ => Condition::atom(format!("resource.name like \"{text}\"")),
        });
    }
    Ok(Condition::any(found))
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::authz::{self, ImageFacts, Outcome, Policies, Principal, Question};

    const FILE: &str = "\
# the order counts
[^x_none_.*]
create = !
read = @
update = !
delete = !

[^x_(owner|billing)$]
create = admin, Member
read = member
update = admin
delete =

[class[12]]
create = @
read = @
update = @
delete = @
";

    fn converted(text: &str, mode: Mode, rules: &Rules) -> Policies {
        let cedar = protections("p.conf", text, mode, rules).unwrap();
        let found = Policies::load(&[("p.cedar".into(), cedar.clone().into_bytes())]);
        found.map_err(|faults| format!("{faults:#?}\n{cedar}")).unwrap()
    }

    fn may(policies: &Policies, operation: &str, name: &str, roles: &[&str]) -> bool {
        let mut question = Question::new(format!("{operation}_property").parse().unwrap());
        let roles: BTreeSet<String> = roles.iter().map(|r| (*r).to_owned()).collect();
        question.principal = Principal { user: "u".into(), project: Some("p".into()), roles, ..Principal::default() };
        question.image = Some(ImageFacts::default());
        question.property = Some(name.to_owned());
        authz::answer(policies, &question).unwrap().outcome == Outcome::Permit
    }

    /// Glance's way: the first section whose expression is found in the name.
    fn original(operation: &str, name: &str, roles: &[&str]) -> bool {
        let found = |pattern: &str| regex::Regex::new(pattern).unwrap().is_match(name);
        let has = |role: &str| roles.contains(&role);
        if found("^x_none_.*") {
            operation == "read"
        } else if found("^x_(owner|billing)$") {
            match operation {
                "create" => has("admin") || has("member"),
                "read" => has("member"),
                "update" => has("admin"),
                _ => false,
            }
        } else {
            found("class[12]")
        }
    }

    #[test]
    fn every_name_and_role_is_answered_as_by_glance() {
        let policies = converted(FILE, Mode::Roles, &Rules::default());
        let names =
            ["x_none_", "x_none_class1", "x_owner", "x_owners", "x_billing", "class1", "my_class2_x", "class3", "*"];
        for name in names {
            for operation in OPERATIONS {
                for roles in [&[][..], &["member"], &["admin"], &["admin", "member"], &["reader"]] {
                    let answers = (may(&policies, operation, name, roles), original(operation, name, roles));
                    assert_eq!(answers.0, answers.1, "{operation} {name} {roles:?}");
                }
            }
        }
    }

    #[test]
    fn rules_decide_in_the_other_mode() {
        let mut rules = Rules::glance().unwrap();
        rules.read("policy.yaml", "glance_creator: role:admin or role:spl\n").unwrap();
        let text =
            "[.*]\ncreate = glance_creator\nread = default\nupdate = context_is_admin\ndelete = context_is_admin\n";
        let policies = converted(text, Mode::Policies, &rules);
        assert!(may(&policies, "create", "any", &["spl"]) && !may(&policies, "create", "any", &["member"]));
        assert!(may(&policies, "read", "any", &[]) && !may(&policies, "delete", "any", &["spl"]));
    }

    #[test]
    fn what_glance_refuses_or_cedar_cannot_say_is_told_with_its_line() {
        let all = "create = @\nread = @\nupdate = @\ndelete = @\n";
        let rows = [
            ("create = @\n".to_owned(), 1, "`[section]` is expected"),
            ("[a]\ncreate = @, !\n".into(), 2, "both `@` and `!`"),
            ("[a]\nwrite = @\n".into(), 2, "is none of create"),
            ("[a]\ncreate = @\nread = @\ndelete = @\n".into(), 1, "has no `update`"),
            (format!("[a+]\n{all}"), 1, "only `.*` and `?`"),
            (format!("[\\bx]\n{all}"), 1, "word boundaries"),
            (format!("[(a]\n{all}"), 1, "no regular expression"),
            (format!("[[a-z][a-z]]\n{all}"), 1, "more than 64"),
            (format!("[a$b]\n{all}"), 1, "in the middle"),
        ];
        for (text, line, part) in rows {
            let faults = protections("p.conf", &text, Mode::Roles, &Rules::default()).unwrap_err();
            let found = faults.iter().any(|f| f.line == Some(line) && f.text.contains(part));
            assert!(found, "{text}: {faults:?}");
        }
    }
}
