//! Tests of policies as data: questions with the answer that is expected, and which policies no question reaches.
//!
//! A case may name its caller, image or store from tables at the top of its file, and may list several of them: it
//! stands for every combination then.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    marker::PhantomData,
};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};
use toml::Spanned;

use super::{Answer, ImageFacts, NamespaceFacts, Outcome, Policies, Principal, Question, StoreFacts, answer};
use crate::{error::Result, rules::Fault};

/// Questions of all files together at most.
const CASES_MAX: usize = 100_000;

/// A question with the answer that is expected.
#[derive(Debug, Clone)]
pub struct Case {
    /// File it is in.
    pub file: String,
    /// Line where it begins.
    pub line: usize,
    /// What it is about.
    pub name: String,
    /// The question.
    pub question: Question,
    /// The answer that is expected.
    pub expected: Outcome,
    /// Exactly the policies that are expected to decide.
    pub policies: Option<BTreeSet<String>>,
}

/// A case and what the policies say to it.
#[derive(Debug, Clone, Serialize)]
pub struct Tried {
    /// File and line of the case.
    pub at: String,
    /// What it is about.
    pub name: String,
    /// The question.
    pub question: Question,
    /// The answer that is expected.
    pub expected: Outcome,
    /// The policies that are expected to decide.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_policies: Option<BTreeSet<String>>,
    /// The answer.
    pub answer: Answer,
    /// Whether it is the expected one.
    pub passed: bool,
}

/// What a run of all cases found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Every case.
    pub cases: Vec<Tried>,
    /// Number of policies.
    pub policies: usize,
    /// Ids of the policies that decided no case.
    pub uncovered: Vec<String>,
}

impl Report {
    /// The cases with another answer than the expected one.
    pub fn failed(&self) -> impl Iterator<Item = &Tried> {
        self.cases.iter().filter(|t| !t.passed)
    }
}

/// Reads cases from the text of files.
///
/// # Errors
/// Everything that is wrong, with file and line.
pub fn read(files: &[(String, Vec<u8>)]) -> Result<Vec<Case>, Vec<Fault>> {
    let (mut cases, mut faults) = (Vec::new(), Vec::new());
    for (file, bytes) in files {
        let Ok(text) = std::str::from_utf8(bytes) else {
            faults.push(Fault::new(file, None, "the file is not UTF-8"));
            continue;
        };
        match toml::from_str::<File>(text) {
            Ok(parsed) => parsed.expand(file, text, &mut cases, &mut faults),
            Err(error) => {
                let line = error.span().map(|span| line_of(text, span.start));
                faults.push(Fault::new(file, line, error.message()));
            }
        }
    }
    if cases.len() > CASES_MAX {
        faults.push(Fault::new("tests", None, format!("more than {CASES_MAX} questions")));
    }
    if faults.is_empty() { Ok(cases) } else { Err(faults) }
}

/// Asks every case.
///
/// # Errors
/// `Invalid` when the question of a case cannot be asked.
pub fn run(policies: &Policies, cases: &[Case]) -> Result<Report> {
    let mut uncovered: BTreeSet<&String> = policies.ids().iter().collect();
    let mut tried = Vec::with_capacity(cases.len());
    for case in cases {
        let at = format!("{}:{}", case.file, case.line);
        let answer = answer(policies, &case.question)
            .map_err(|e| crate::Error::invalid(format!("{at}: {}: {}", case.name, e.message())))?;
        for id in &answer.policies {
            uncovered.remove(id);
        }
        let deciding = || case.policies.as_ref().is_none_or(|wanted| wanted.iter().eq(answer.policies.iter()));
        tried.push(Tried {
            at,
            name: case.name.clone(),
            question: case.question.clone(),
            expected: case.expected,
            expected_policies: case.policies.clone(),
            passed: answer.outcome == case.expected && deciding(),
            answer,
        });
    }
    let uncovered = uncovered.into_iter().cloned().collect();
    Ok(Report { cases: tried, policies: policies.ids().len(), uncovered })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    principals: BTreeMap<String, Principal>,
    #[serde(default)]
    images: BTreeMap<String, ImageFacts>,
    #[serde(default)]
    stores: BTreeMap<String, StoreFacts>,
    #[serde(default)]
    case: Vec<Spanned<Entry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: Option<String>,
    #[serde(default)]
    principal: Choice<Principal>,
    action: Spanned<Choice<NoTable>>,
    #[serde(default)]
    image: Choice<ImageFacts>,
    member: Option<String>,
    property: Option<String>,
    #[serde(default)]
    store: Choice<StoreFacts>,
    #[serde(default)]
    namespace: Option<NamespaceFacts>,
    decision: Outcome,
    policies: Option<BTreeSet<String>>,
}

/// Names, or tables written out; one or several.
struct Choice<T>(Vec<Named<T>>);

enum Named<T> {
    Name(String),
    Table(T),
}

/// For what can only be named.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoTable {}

impl File {
    fn expand(self, file: &str, text: &str, cases: &mut Vec<Case>, faults: &mut Vec<Fault>) {
        for entry in &self.case {
            let line = line_of(text, entry.span().start);
            match self.questions(entry.get_ref()) {
                Ok(questions) => cases.extend(questions.into_iter().map(|(name, question)| Case {
                    file: file.to_owned(),
                    line,
                    name,
                    question,
                    expected: entry.get_ref().decision,
                    policies: entry.get_ref().policies.clone(),
                })),
                Err(text) => faults.push(Fault::new(file, Some(line), text)),
            }
        }
    }

    fn questions(&self, entry: &Entry) -> Result<Vec<(String, Question)>, String> {
        let principals = entry.principal.resolve(&self.principals, "principals")?;
        let images = entry.image.resolve(&self.images, "images")?;
        let stores = entry.store.resolve(&self.stores, "stores")?;
        let mut questions = Vec::new();
        for action in &entry.action.get_ref().0 {
            let Named::Name(word) = action else { return Err("an action is a name".into()) };
            let action = word.parse().map_err(|_| format!("there is no action `{word}`"))?;
            for (who, principal) in &principals {
                for (what, image) in &images {
                    for (_, store) in &stores {
                        let question = Question {
                            principal: principal.clone().unwrap_or_default(),
                            action,
                            image: image.clone(),
                            member: entry.member.clone(),
                            property: entry.property.clone(),
                            store: store.clone(),
                            namespace: entry.namespace.clone(),
                        };
                        let title = entry.name.clone().unwrap_or_else(|| "case".into());
                        questions.push((format!("{title}: {who} {word} {what}").trim_end().to_owned(), question));
                        if questions.len() > CASES_MAX {
                            return Err(format!("the case stands for more than {CASES_MAX} questions"));
                        }
                    }
                }
            }
        }
        Ok(questions)
    }
}

impl<T: Clone> Choice<T> {
    /// Each choice with the name to show for it; one empty choice when nothing is chosen.
    fn resolve(&self, named: &BTreeMap<String, T>, table: &str) -> Result<Vec<(String, Option<T>)>, String> {
        if self.0.is_empty() {
            return Ok(vec![(String::new(), None)]);
        }
        let one = |choice: &Named<T>| match choice {
            Named::Table(value) => Ok((String::new(), Some(value.clone()))),
            Named::Name(name) => match named.get(name) {
                Some(value) => Ok((name.clone(), Some(value.clone()))),
                None => Err(format!("there is no `[{table}.{name}]` in this file")),
            },
        };
        self.0.iter().map(one).collect()
    }
}

impl<T> Default for Choice<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfNamed<T>(PhantomData<T>);
        impl<'de, T: DeserializeOwned> Visitor<'de> for OfNamed<T> {
            type Value = Named<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name, or a table")
            }
            fn visit_str<E>(self, name: &str) -> Result<Named<T>, E> {
                Ok(Named::Name(name.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Named<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Named::Table)
            }
        }
        deserializer.deserialize_any(OfNamed(PhantomData))
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Choice<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfChoice<T>(PhantomData<T>);
        impl<'de, T: DeserializeOwned> Visitor<'de> for OfChoice<T> {
            type Value = Choice<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name, a table, or a list of them")
            }
            fn visit_str<E>(self, name: &str) -> Result<Choice<T>, E> {
                Ok(Choice(vec![Named::Name(name.to_owned())]))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Choice<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(|value| Choice(vec![Named::Table(value)]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Choice<T>, A::Error> {
                let mut all = Vec::new();
                while let Some(one) = seq.next_element()? {
                    all.push(one);
                }
                Ok(Choice(all))
            }
        }
        deserializer.deserialize_any(OfChoice(PhantomData))
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|b| *b == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policies() -> Policies {
        let text = "@id(\"a\") permit (principal, action == Action::\"get_image\", resource) \
                    when { resource.visibility == \"public\" };\n\
                    @id(\"b\") forbid (principal, action, resource) when { principal.user == \"x\" };";
        let text = text.replace("principal.user == \"x\"", "principal.roles.contains(\"x\")");
        Policies::load(&[("a.cedar".into(), text.into_bytes())]).unwrap()
    }

    fn cases(text: &str) -> Result<Vec<Case>, Vec<Fault>> {
        read(&[("t.toml".into(), text.as_bytes().to_vec())])
    }

    const TWO: &str = "\
[principals.one]
user = \"one\"
[images.open]
visibility = \"public\"
[images.shut]
[[case]]
name = \"seen\"
principal = [\"one\", { user = \"two\" }]
action = \"get_image\"
image = \"open\"
decision = \"permit\"
policies = [\"a\"]
[[case]]
action = [\"get_image\", \"delete_image\"]
image = [\"open\", \"shut\"]
decision = \"deny\"
";

    #[test]
    fn a_case_stands_for_every_combination() {
        let report = run(&policies(), &cases(TWO).unwrap()).unwrap();
        assert_eq!(report.cases.len(), 2 + 4);
        let failed: Vec<_> = report.failed().map(|t| (t.at.as_str(), t.name.as_str())).collect();
        assert_eq!(failed, [("t.toml:13", "case:  get_image open")]);
        assert_eq!(report.uncovered, ["b"]);
    }

    #[test]
    fn the_deciding_policies_are_compared() {
        let text = "[[case]]\naction = \"get_image\"\nimage = { visibility = \"public\" }\ndecision = \"permit\"\n";
        let all = cases(&format!("{text}policies = [\"a\"]\n{text}policies = [\"a\", \"b\"]")).unwrap();
        let report = run(&policies(), &all).unwrap();
        assert_eq!(report.cases.iter().map(|t| t.passed).collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn faults_have_lines() {
        let rows = [
            ("[[case]]\naction = \"fly\"\ndecision = \"deny\"", 1, "no action `fly`"),
            ("[[case]]\naction = \"get_image\"\nimage = \"x\"\ndecision = \"deny\"", 1, "no `[images.x]`"),
            ("[[case]]\naction = \"get_image\"\nimage = { colour = \"red\" }\ndecision = \"deny\"", 3, "colour"),
            ("[[case]]\naction = \"get_image\"\ndecision = \"maybe\"", 3, "maybe"),
            ("[[case]\n", 1, "unclosed"),
        ];
        for (text, line, part) in rows {
            let faults = cases(text).unwrap_err();
            assert_eq!(faults[0].line, Some(line), "{text}: {faults:?}");
            assert!(faults[0].text.contains(part), "{text}: {faults:?}");
        }
    }
}
