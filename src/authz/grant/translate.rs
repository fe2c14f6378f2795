//! From what Cedar's partial evaluation leaves open to a condition on images. What has no counterpart becomes
//! [`Condition::Unknown`], never a guess.

use std::collections::BTreeSet;

use cedar_policy::pst::{BinaryOp, Clause, Expr, Literal, PatternElem, UnaryOp, Var};

use crate::{
    context::Caller,
    image::{
        MemberStatus,
        query::{Condition, IntColumn, IntTest, Text, TextColumn, TextTest},
    },
};

/// Tests and values in one expression: `if` and `==` say a part twice, so that nesting them would grow without end.
const WEIGHT_MAX: usize = 4000;

/// An entity by its name.
#[derive(Clone, PartialEq, Eq)]
struct Entity {
    kind: String,
    id: String,
}

/// The value of an expression, as far as it can be told.
enum Term {
    Bool(Condition),
    Long(i64),
    Word(String),
    Entity(Entity),
    Set(Vec<Self>),
    /// The image itself.
    Image,
    /// The project that owns the image.
    Owner,
    Text(Text),
    Int(IntColumn),
    Tags,
    Members(MemberStatus),
    Unknown,
}

/// The condition of one clause.
pub(super) fn clause(clause: &Clause, caller: &Caller) -> Condition {
    match clause {
        Clause::When(expr) => Translator { caller }.condition(expr),
        Clause::Unless(expr) => Translator { caller }.condition(expr).negated(),
    }
}

struct Translator<'a> {
    caller: &'a Caller,
}

impl Translator<'_> {
    fn condition(&self, expr: &Expr) -> Condition {
        match self.term(expr) {
            Term::Bool(condition) if condition.weight() <= WEIGHT_MAX => condition,
            _ => Condition::Unknown,
        }
    }

    fn term(&self, expr: &Expr) -> Term {
        match expr {
            Expr::Literal(literal) => constant(literal),
            Expr::Var(Var::Resource) => Term::Image,
            Expr::Set(elements) => Term::Set(elements.iter().map(|e| self.term(e)).collect()),
            Expr::GetAttr { expr, attr } => match self.term(expr) {
                Term::Image => attribute(attr),
                _ => Term::Unknown,
            },
            Expr::HasAttr { expr, attrs } => match (self.term(expr), attrs.tail.is_empty()) {
                (Term::Image, true) => Term::Bool(has(&attrs.head)),
                _ => Term::Unknown,
            },
            Expr::Like { expr, pattern } => match self.term(expr) {
                Term::Text(text) => Term::Bool(Condition::Text(text, TextTest::Like(elements(pattern)))),
                _ => Term::Unknown,
            },
            Expr::UnaryOp { op: UnaryOp::Not, expr } => Term::Bool(self.condition(expr).negated()),
            Expr::BinaryOp { op: BinaryOp::And, left, right } => {
                Term::Bool(Condition::All([self.condition(left), self.condition(right)].into()))
            }
            Expr::BinaryOp { op: BinaryOp::Or, left, right } => {
                Term::Bool(Condition::Any([self.condition(left), self.condition(right)].into()))
            }
            Expr::BinaryOp { op, left, right } => self.operation(*op, self.term(left), self.term(right)),
            Expr::IfThenElse { cond, then_expr, else_expr } => {
                let test = self.condition(cond);
                let yes = Condition::All([test.clone(), self.condition(then_expr)].into());
                let no = Condition::All([test.negated(), self.condition(else_expr)].into());
                Term::Bool(Condition::Any([yes, no].into()))
            }
            _ => Term::Unknown,
        }
    }

    fn operation(&self, op: BinaryOp, left: Term, right: Term) -> Term {
        let condition = match (op, left, right) {
            (BinaryOp::Eq, left, right) => self.equal(left, right),
            (BinaryOp::NotEq, left, right) => self.equal(left, right).negated(),
            (BinaryOp::HasTag, Term::Image, Term::Word(name)) => {
                Condition::Text(Text::Property(name), TextTest::Present)
            }
            (BinaryOp::GetTag, Term::Image, Term::Word(name)) => return Term::Text(Text::Property(name)),
            (BinaryOp::In, left, right) => self.within(left, right),
            (BinaryOp::Contains, set, element) => self.contains(set, element),
            (BinaryOp::ContainsAny, Term::Set(elements), set) | (BinaryOp::ContainsAny, set, Term::Set(elements)) => {
                Condition::Any(self.each_contained(&set, elements))
            }
            (BinaryOp::ContainsAll, set, Term::Set(elements)) => Condition::All(self.each_contained(&set, elements)),
            (op, left, right) => comparison(op, left, right),
        };
        if condition.weight() > WEIGHT_MAX { Term::Unknown } else { Term::Bool(condition) }
    }

    fn equal(&self, left: Term, right: Term) -> Condition {
        match (left, right) {
            (Term::Bool(a), Term::Bool(b)) => {
                let both = Condition::All([a.clone(), b.clone()].into());
                let neither = Condition::All([a.negated(), b.negated()].into());
                Condition::Any([both, neither].into())
            }
            (Term::Text(text), Term::Word(word)) | (Term::Word(word), Term::Text(text)) => one_of(text, [word].into()),
            (Term::Int(column), Term::Long(n)) | (Term::Long(n), Term::Int(column)) => {
                Condition::Int(column, IntTest::Eq(n))
            }
            (Term::Owner, Term::Entity(it)) | (Term::Entity(it), Term::Owner) => owner(&it),
            (Term::Image, Term::Entity(it)) | (Term::Entity(it), Term::Image) => image(&it),
            (Term::Word(a), Term::Word(b)) => Condition::constant(a == b),
            (Term::Long(a), Term::Long(b)) => Condition::constant(a == b),
            (Term::Entity(a), Term::Entity(b)) => Condition::constant(a == b),
            _ => Condition::Unknown,
        }
    }

    fn contains(&self, set: Term, element: Term) -> Condition {
        match (set, element) {
            (Term::Tags, Term::Word(tag)) => Condition::Tag(tag),
            (Term::Members(status), Term::Entity(it)) => match it.project() {
                Some(project) => Condition::Member(status, project),
                None => Condition::constant(false),
            },
            (Term::Set(elements), Term::Text(text)) => match words(elements) {
                Some(words) => one_of(text, words),
                None => Condition::Unknown,
            },
            (Term::Set(elements), element @ (Term::Owner | Term::Image | Term::Int(_))) => {
                let same = |other| match (&element, other) {
                    (Term::Owner, Term::Entity(it)) => owner(&it),
                    (Term::Image, Term::Entity(it)) => image(&it),
                    (Term::Int(column), Term::Long(n)) => Condition::Int(*column, IntTest::Eq(n)),
                    _ => Condition::Unknown,
                };
                Condition::Any(elements.into_iter().map(same).collect())
            }
            _ => Condition::Unknown,
        }
    }

    /// For each element, that the set of the image has it.
    fn each_contained(&self, set: &Term, elements: Vec<Term>) -> BTreeSet<Condition> {
        let one = |element| match set {
            Term::Tags => self.contains(Term::Tags, element),
            Term::Members(status) => self.contains(Term::Members(*status), element),
            _ => Condition::Unknown,
        };
        elements.into_iter().map(one).collect()
    }

    /// `in`: itself, or below in the hierarchy. Of hierarchies only the caller's own is told to the policies.
    fn within(&self, left: Term, right: Term) -> Condition {
        match (left, right) {
            (left, Term::Set(groups)) => match left {
                Term::Owner => Condition::Any(groups.into_iter().map(|g| self.within(Term::Owner, g)).collect()),
                Term::Image => Condition::Any(groups.into_iter().map(|g| self.within(Term::Image, g)).collect()),
                Term::Entity(it) => {
                    Condition::Any(groups.into_iter().map(|g| self.within(Term::Entity(it.clone()), g)).collect())
                }
                _ => Condition::Unknown,
            },
            (Term::Image, Term::Entity(it)) => image(&it),
            (Term::Owner, Term::Entity(group)) => {
                let below = self.below(&group);
                Condition::Any(below.into_iter().chain([group]).map(|it| owner(&it)).collect())
            }
            (Term::Entity(it), Term::Entity(group)) => {
                Condition::constant(it == group || self.below(&group).contains(&it))
            }
            (Term::Entity(it), Term::Owner) => {
                Condition::Any(self.above(&it).into_iter().chain([it]).map(|it| owner(&it)).collect())
            }
            (Term::Entity(it), Term::Members(status)) => {
                let groups = self.above(&it).into_iter().chain([it]);
                Condition::Any(groups.filter_map(|g| g.project()).map(|p| Condition::Member(status, p)).collect())
            }
            _ => Condition::Unknown,
        }
    }
}

impl Translator<'_> {
    /// What is above an entity.
    fn above(&self, it: &Entity) -> Vec<Entity> {
        let entity = |kind: &str, id: &Option<String>| {
            id.as_deref().map(|id| Entity { kind: kind.to_owned(), id: id.to_owned() })
        };
        let caller = self.caller;
        let project = entity("Project", &caller.project_id).filter(|p| !p.id.is_empty());
        let domain = entity("Domain", &caller.project_domain_id).filter(|_| project.is_some());
        if it.kind == "User" && it.id == caller.user_id {
            return [project, domain, entity("Domain", &caller.user_domain_id)].into_iter().flatten().collect();
        }
        if project.is_some_and(|p| p == *it) { domain.into_iter().collect() } else { Vec::new() }
    }

    /// The caller and their project, where they are below a group.
    fn below(&self, group: &Entity) -> Vec<Entity> {
        let user = Entity { kind: "User".into(), id: self.caller.user_id.clone() };
        let project = self.caller.project_id.clone().map(|id| Entity { kind: "Project".into(), id });
        project.into_iter().chain([user]).filter(|it| self.above(it).contains(group)).collect()
    }
}

impl Entity {
    /// Its id, if it is a project that an image can be owned by or shared with.
    fn project(self) -> Option<String> {
        (self.kind == "Project").then_some(self.id)
    }
}

fn constant(literal: &Literal) -> Term {
    match literal {
        Literal::Bool(holds) => Term::Bool(Condition::constant(*holds)),
        Literal::Long(n) => Term::Long(*n),
        Literal::String(word) => Term::Word(word.to_string()),
        Literal::EntityUID(uid) => Term::Entity(Entity { kind: uid.ty.to_string(), id: uid.eid.to_string() }),
        _ => Term::Unknown,
    }
}

fn attribute(name: &str) -> Term {
    match name {
        "owner" => Term::Owner,
        "size" => Term::Int(IntColumn::Size),
        "protected" => Term::Bool(Condition::Protected),
        "os_hidden" => Term::Bool(Condition::Hidden),
        "tags" => Term::Tags,
        "members" => Term::Members(MemberStatus::Accepted),
        "pending" => Term::Members(MemberStatus::Pending),
        "rejected" => Term::Members(MemberStatus::Rejected),
        _ => column(name).map_or(Term::Unknown, |column| Term::Text(Text::Column(column))),
    }
}

fn column(name: &str) -> Option<TextColumn> {
    match name {
        "name" => Some(TextColumn::Name),
        "visibility" => Some(TextColumn::Visibility),
        "status" => Some(TextColumn::Status),
        "disk_format" => Some(TextColumn::DiskFormat),
        "container_format" => Some(TextColumn::ContainerFormat),
        _ => None,
    }
}

fn has(name: &str) -> Condition {
    match name {
        "size" => Condition::Int(IntColumn::Size, IntTest::Present),
        "owner" => Condition::Text(Text::Column(TextColumn::Owner), TextTest::Present),
        "protected" | "os_hidden" | "tags" | "members" | "pending" | "rejected" => Condition::constant(true),
        _ => column(name).map_or(Condition::Unknown, |column| Condition::Text(Text::Column(column), TextTest::Present)),
    }
}

fn one_of(text: Text, words: BTreeSet<String>) -> Condition {
    Condition::Text(text, TextTest::In(words))
}

/// The image is owned by this entity.
fn owner(it: &Entity) -> Condition {
    match it.clone().project().filter(|id| !id.is_empty()) {
        Some(project) => one_of(Text::Column(TextColumn::Owner), [project].into()),
        None => Condition::constant(false),
    }
}

/// The image is this entity.
fn image(it: &Entity) -> Condition {
    if it.kind == "Image" {
        one_of(Text::Column(TextColumn::Id), [it.id.clone()].into())
    } else {
        Condition::constant(false)
    }
}

fn words(terms: Vec<Term>) -> Option<BTreeSet<String>> {
    terms.into_iter().map(|term| if let Term::Word(word) = term { Some(word) } else { None }).collect()
}

fn elements(pattern: &[PatternElem]) -> Vec<Option<char>> {
    pattern.iter().map(|e| if let PatternElem::Char(c) = e { Some(*c) } else { None }).collect()
}

fn comparison(op: BinaryOp, left: Term, right: Term) -> Condition {
    let (column, op, n) = match (left, right) {
        (Term::Int(column), Term::Long(n)) => (column, op, n),
        (Term::Long(n), Term::Int(column)) => (column, flipped(op), n),
        _ => return Condition::Unknown,
    };
    let test = match op {
        BinaryOp::Less => n.checked_sub(1).map(IntTest::Max),
        BinaryOp::LessEq => Some(IntTest::Max(n)),
        BinaryOp::Greater => n.checked_add(1).map(IntTest::Min),
        BinaryOp::GreaterEq => Some(IntTest::Min(n)),
        _ => return Condition::Unknown,
    };
    test.map_or(Condition::constant(false), |test| Condition::Int(column, test))
}

fn flipped(op: BinaryOp) -> BinaryOp {
    match op {
        BinaryOp::Less => BinaryOp::Greater,
        BinaryOp::LessEq => BinaryOp::GreaterEq,
        BinaryOp::Greater => BinaryOp::Less,
        BinaryOp::GreaterEq => BinaryOp::LessEq,
        other => other,
    }
}
