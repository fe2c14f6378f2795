//! Conditions of policies as SQL. A null in a column is "the image has it not": a test is then false, and its negation
//! true, where SQL by itself would say neither.

use std::collections::BTreeSet;

use sea_query::{BinOper, Cond, Expr, ExprTrait, LikeExpr, Query, SelectStatement};

use super::{col, filter};
use crate::{
    db::dialect::Dialect,
    image::query::{Condition, IntColumn, IntTest, Text, TextColumn, TextTest},
};

/// A reduced condition: negations are of single tests only.
pub(super) fn sql(d: Dialect, condition: &Condition) -> Cond {
    match condition {
        Condition::All(parts) => parts.iter().fold(Cond::all(), |all, part| all.add(sql(d, part))),
        Condition::Any(parts) if parts.is_empty() => Cond::all().add(never()),
        Condition::Any(parts) => parts.iter().fold(Cond::any(), |any, part| any.add(sql(d, part))),
        Condition::Not(test) => negation(d, test),
        test => Cond::all().add(positive(d, test)),
    }
}

fn never() -> Expr {
    Expr::cust("1 = 0")
}

/// A single test. It may be null where it is not true.
fn positive(d: Dialect, test: &Condition) -> Expr {
    match test {
        // An empty owner, as another service may have written it, is none.
        Condition::Text(Text::Column(TextColumn::Owner), TextTest::Present) => column_of(TextColumn::Owner).ne(""),
        Condition::Text(Text::Column(column), test) => text(d, column_of(*column), test),
        Condition::Text(Text::Property(name), test) => {
            let Some(name) = filter::possible(name) else { return never() };
            let mut properties = of_image("image_properties", "p");
            properties.and_where(Expr::col(("p", "name")).eq(name));
            if *test != TextTest::Present {
                properties.and_where(text(d, Expr::col(("p", "value")), test));
            }
            Expr::exists(properties)
        }
        Condition::Int(column, test) => int(*column, *test),
        Condition::Protected => col("protected").ne(0_i64),
        Condition::Hidden => col("os_hidden").ne(0_i64),
        Condition::Tag(tag) => match filter::possible(tag) {
            Some(tag) => Expr::exists(of_image("image_tags", "t").and_where(Expr::col(("t", "tag")).eq(tag)).take()),
            None => never(),
        },
        Condition::Member(status, project) => match filter::possible(project) {
            Some(project) => {
                let mut members = of_image("image_members", "m");
                members.and_where(Expr::col(("m", "member")).eq(project));
                members.and_where(Expr::col(("m", "status")).eq(status.as_str()));
                Expr::exists(members)
            }
            None => never(),
        },
        // A reduced condition has none of these here; what is not known is left to the policies.
        Condition::Not(_) | Condition::All(_) | Condition::Any(_) | Condition::Unknown => Expr::cust("1 = 1"),
    }
}

fn negation(d: Dialect, test: &Condition) -> Cond {
    let not = positive(d, test).not();
    match test {
        Condition::Text(Text::Column(column), _) if nullable(*column) => {
            Cond::any().add(column_of(*column).is_null()).add(not)
        }
        Condition::Int(column @ (IntColumn::Size | IntColumn::VirtualSize), _) => {
            Cond::any().add(filter::int(*column).is_null()).add(not)
        }
        _ => Cond::all().add(not),
    }
}

fn column_of(column: TextColumn) -> Expr {
    col(filter::column(column))
}

fn nullable(column: TextColumn) -> bool {
    !matches!(column, TextColumn::Id | TextColumn::Status | TextColumn::Visibility)
}

/// The rows of a table that belong to the image at hand.
fn of_image(table: &'static str, alias: &'static str) -> SelectStatement {
    let mut rows = Query::select();
    rows.expr(Expr::cust("1")).from_as(table, alias).and_where(Expr::col((alias, "image_id")).eq(col("id")));
    rows
}

fn text(d: Dialect, text: Expr, test: &TextTest) -> Expr {
    match test {
        TextTest::Present => text.is_not_null(),
        TextTest::In(values) => one_of(text, values),
        TextTest::Like(pattern) if pattern.contains(&Some('\0')) => never(),
        TextTest::Like(pattern) if d == Dialect::Sqlite => text.binary(BinOper::Custom("GLOB"), glob(pattern)),
        TextTest::Like(pattern) => text.like(LikeExpr::new(like(pattern)).escape('|')),
    }
}

fn one_of(text: Expr, values: &BTreeSet<String>) -> Expr {
    let values: Vec<&str> = values.iter().filter_map(|v| filter::possible(v)).collect();
    match values.as_slice() {
        [] => never(),
        [value] => text.eq(*value),
        _ => text.is_in(values),
    }
}

fn int(column: IntColumn, test: IntTest) -> Expr {
    let column = filter::int(column);
    match test {
        IntTest::Present => column.is_not_null(),
        IntTest::Eq(n) => column.eq(n),
        IntTest::Min(n) => column.gte(n),
        IntTest::Max(n) => column.lte(n),
    }
}

/// SQLite's LIKE takes `A` for `a`; its GLOB does not.
fn glob(pattern: &[Option<char>]) -> String {
    pattern.iter().fold(String::new(), |mut out, element| {
        match element {
            None => out.push('*'),
            Some(special @ ('*' | '?' | '[')) => out.extend(['[', *special, ']']),
            Some(plain) => out.push(*plain),
        }
        out
    })
}

fn like(pattern: &[Option<char>]) -> String {
    pattern.iter().fold(String::new(), |mut out, element| {
        match element {
            None => out.push('%'),
            Some(special @ ('%' | '_' | '|')) => out.extend(['|', *special]),
            Some(plain) => out.push(*plain),
        }
        out
    })
}
