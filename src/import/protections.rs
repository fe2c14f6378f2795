//! Glance's property protections: sections of an INI file whose names are regular expressions. The first section that
//! matches a property's name decides; without one, nobody may do anything with the property.
//!
//! Read here by hand: no INI library keeps lines, order and names with `]` in them, and all three count.

use std::{collections::BTreeSet, fmt::Write};

use rand::{RngExt, rngs::StdRng, seq::IndexedRandom};
use regex::Regex;

use super::{
    check::Check,
    condition::{Condition, quoted},
    convert::convert,
    evaluate,
    glance::credentials,
    names,
    rules::Rules,
    target::Target,
    value::{Value, Values},
};
use crate::{authz::Question, rules::Fault};

/// Sections of a file.
const SECTIONS_MAX: usize = 256;
/// What may be done with a property.
const OPERATIONS: [&str; 4] = ["create", "read", "update", "delete"];
/// What Glance keeps to itself: it puts a section that is open to all before the others, and drops theirs.
const RESERVED: &str = "os_glance";

/// How the file names those who may: `property_protection_rule_format` of Glance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// Roles, parted by commas
    #[default]
    Roles,
    /// One rule of the rules file
    Policies,
}

/// A file of property protections.
#[derive(Debug, Clone)]
pub struct Protections {
    file: String,
    sections: Vec<Section>,
}

/// One section.
#[derive(Debug, Clone)]
struct Section {
    pattern: String,
    regex: Regex,
    line: usize,
    /// Of each operation, the line and who may.
    who: [Option<(usize, Who)>; 4],
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Who {
    Everybody,
    Nobody,
    /// Whoever has one of these; in lower case.
    Roles(Vec<String>),
    /// Whom this rule lets in.
    Rule(String),
}

impl Protections {
    /// Reads a file.
    ///
    /// # Errors
    /// Everything in it that Glance would refuse too.
    pub fn read(file: &str, text: &str, mode: Mode) -> Result<Self, Vec<Fault>> {
        let (mut sections, mut faults): (Vec<Section>, Vec<Fault>) = (Vec::new(), Vec::new());
        for (number, line) in text.lines().enumerate().map(|(n, line)| (n + 1, line.trim())) {
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            let done = match line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                Some(pattern) => Section::new(pattern, number).map(|section| sections.push(section)),
                None => entry(line, mode).and_then(|(slot, who)| {
                    let section = sections.last_mut().ok_or("a `[section]` is expected before this line")?;
                    if let Some(place) = section.who.get_mut(slot) {
                        *place = Some((number, who));
                    }
                    Ok(())
                }),
            };
            faults.extend(done.err().map(|why| Fault::new(file, Some(number), why)));
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
        sections.retain(|section| !section.pattern.starts_with(RESERVED));
        if faults.is_empty() { Ok(Self { file: file.to_owned(), sections }) } else { Err(faults) }
    }

    /// As policies.
    ///
    /// # Errors
    /// What has no counterpart, with its line.
    pub fn policies(&self, rules: &Rules) -> Result<String, Vec<Fault>> {
        let mut out = format!(
            "// Written by `fanlight policy import` from {}: the first section that matches a name decides.\n\n\
             // Glance keeps these to itself, and protects them from nobody.\n@id(\"property.reserved\")\n\
             permit (\n  principal,\n  action in [{}],\n  resource\n) when {{ resource.name like \"*{RESERVED}*\" }};\n",
            self.file,
            OPERATIONS.map(|operation| format!("Action::\"{operation}_property\"")).join(", "),
        );
        let mut earlier = vec![Condition::atom(format!("resource.name like \"*{RESERVED}*\""))];
        let mut faults = Vec::new();
        for (number, section) in self.sections.iter().enumerate() {
            let names = match names::names(&section.pattern) {
                Ok(names) => names,
                Err(why) => {
                    let why = format!("section `{}`: {why}", section.pattern);
                    faults.push(Fault::new(&self.file, Some(section.line), why));
                    continue;
                }
            };
            for (operation, who) in OPERATIONS.iter().zip(&section.who) {
                let Some((line, who)) = who else { continue };
                let rest = Condition::any(earlier.clone()).negated();
                match who.condition(rules) {
                    Ok(who) => {
                        let condition = Condition::all([names.clone(), rest, who]);
                        out.push_str(&self.policy(section, number + 1, operation, &condition));
                    }
                    Err(why) => faults.push(Fault::new(&self.file, Some(*line), why)),
                }
            }
            earlier.push(names);
        }
        if faults.is_empty() { Ok(out) } else { Err(faults) }
    }

    fn policy(&self, section: &Section, number: usize, operation: &str, condition: &Condition) -> String {
        let mut text = format!(
            "\n@id(\"property.{number}.{operation}\")\n@source({})\n@section({})\npermit (principal, action == \
             Action::\"{operation}_property\", resource)",
            quoted(&format!("{}:{}", self.file, section.line)),
            quoted(&section.pattern),
        );
        match condition {
            Condition::Constant(false) => return String::new(),
            Condition::Constant(true) => text.push_str(";\n"),
            condition => drop(writeln!(text, " when {{ {condition} }};")),
        }
        text
    }

    /// Whether Glance permits what `question` asks of a property.
    pub(super) fn permit(&self, rules: &Rules, question: &Question) -> bool {
        let Some(name) = &question.property else { return false };
        if name.contains(RESERVED) {
            return true;
        }
        let operation = question.action.as_str().trim_end_matches("_property");
        let slot = OPERATIONS.iter().position(|o| *o == operation);
        let section = self.sections.iter().find(|section| section.regex.is_match(name));
        let who = section.zip(slot).and_then(|(section, slot)| section.who.get(slot)?.as_ref());
        let p = &question.principal;
        // Both kinds of roles count, and stay in the list for the rules that are asked then.
        let roles: BTreeSet<&String> = p.roles.union(&p.service_roles).collect();
        match who {
            None | Some((_, Who::Nobody)) => false,
            Some((_, Who::Everybody)) => true,
            Some((_, Who::Roles(wanted))) => wanted.iter().any(|role| roles.contains(role)),
            Some((_, Who::Rule(rule))) => {
                let mut credentials = credentials(question);
                credentials.insert("roles".into(), Value::List(roles.into_iter().cloned().collect()));
                evaluate::holds(&Check::Rule(rule.clone()), rules, &credentials, &Values::new())
            }
        }
    }

    /// A name that some section finds, or nearly.
    pub(super) fn name(&self, rng: &mut StdRng) -> String {
        if rng.random_ratio(1, 20) {
            return format!("x_{RESERVED}_y");
        }
        self.sections.choose(rng).map_or_else(|| "x".into(), |section| names::name(rng, &section.pattern))
    }

    /// The roles that are named.
    pub(super) fn roles(&self) -> impl Iterator<Item = &str> {
        let who = self.sections.iter().flat_map(|section| section.who.iter().flatten());
        who.filter_map(|(_, who)| if let Who::Roles(roles) = who { Some(roles) } else { None })
            .flatten()
            .map(String::as_str)
    }
}

impl Section {
    fn new(pattern: &str, line: usize) -> Result<Self, String> {
        if pattern == "DEFAULT" {
            return Err("what `[DEFAULT]` gives to the other sections must be written into each".into());
        }
        let regex = Regex::new(pattern).map_err(|e| {
            let text = e.to_string();
            format!(
                "section `{pattern}`: no regular expression that is known here: {}",
                text.lines().last().unwrap_or("")
            )
        })?;
        Ok(Self { pattern: pattern.to_owned(), regex, line, who: [None, None, None, None] })
    }
}

impl Who {
    fn condition(&self, rules: &Rules) -> Result<Condition, String> {
        let has = |role: &String| Condition::atom(format!("principal.roles.contains({})", quoted(role)));
        match self {
            Self::Everybody => Ok(Condition::Constant(true)),
            Self::Nobody => Ok(Condition::Constant(false)),
            Self::Roles(roles) => Ok(Condition::any(roles.iter().map(has))),
            Self::Rule(rule) => convert(&rules.resolved(rule)?, Target::Property),
        }
    }
}

/// `operation = who`: the operation's number, and who may.
fn entry(line: &str, mode: Mode) -> Result<(usize, Who), String> {
    let (operation, who) = line.split_once(['=', ':']).ok_or_else(|| format!("`{line}` has no `=`"))?;
    let operation = operation.trim().to_lowercase();
    let slot = OPERATIONS.iter().position(|o| *o == operation);
    let slot = slot.ok_or_else(|| format!("`{operation}` is none of {}", OPERATIONS.join(", ")))?;
    let words: Vec<&str> = who.split(',').map(str::trim).filter(|w| !w.is_empty()).collect();
    if mode == Mode::Policies && who.contains(',') {
        return Err(format!("`{operation}` names more than one rule"));
    }
    let who = match (words.contains(&"@"), words.contains(&"!")) {
        (true, true) => return Err(format!("`{operation}` has both `@` and `!`")),
        (true, false) => Who::Everybody,
        (false, true) => Who::Nobody,
        (false, false) => match (mode, words.as_slice()) {
            (_, []) => Who::Nobody,
            (Mode::Policies, [rule, ..]) => Who::Rule((*rule).to_owned()),
            (Mode::Roles, roles) => Who::Roles(roles.iter().map(|role| role.to_lowercase()).collect()),
        },
    };
    Ok((slot, who))
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
        let cedar = Protections::read("p.conf", text, mode).and_then(|p| p.policies(rules)).unwrap();
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
        let found = |pattern: &str| Regex::new(pattern).unwrap().is_match(name);
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
    fn a_star_that_is_a_letter_stays_one() {
        let all = "create = @\nread = @\nupdate = @\ndelete = @\n";
        let policies = converted(&format!("[^a\\*]\n{all}[^b.*\\*.*$]\n{all}"), Mode::Roles, &Rules::default());
        for (name, wanted) in [
            ("a*", true),
            ("a*b", true),
            ("a**", true),
            ("a", false),
            ("ab", false),
            ("b*", true),
            ("bc*d", true),
            ("bc", false),
        ] {
            assert_eq!(may(&policies, "read", name, &[]), wanted, "{name}");
        }
    }

    #[test]
    fn what_glance_keeps_to_itself_is_protected_from_nobody() {
        let text = "[os_glance_secret]\ncreate = !\nread = !\nupdate = !\ndelete = !\n[.*]\ncreate = !\nread = !\nupdate = !\ndelete = !\n";
        let policies = converted(text, Mode::Roles, &Rules::default());
        assert!(may(&policies, "read", "os_glance_secret", &[]) && !may(&policies, "read", "secret", &[]));
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
            (format!("[[a-z]x[a-z]]\n{all}"), 1, "more than 64"),
            (format!("[[[a]]]\n{all}"), 1, "something else to Python"),
            (format!("[[a--b]]\n{all}"), 1, "something else to Python"),
            (format!("[DEFAULT]\n{all}"), 1, "into each"),
            (format!("[a$b]\n{all}"), 1, "in the middle"),
        ];
        for (text, line, part) in rows {
            let read = Protections::read("p.conf", &text, Mode::Roles);
            let faults = read.and_then(|p| p.policies(&Rules::default())).unwrap_err();
            let found = faults.iter().any(|f| f.line == Some(line) && f.text.contains(part));
            assert!(found, "{text}: {faults:?}");
        }
    }
}
