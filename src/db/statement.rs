//! Composed statements as text and parameters.

use std::fmt::{self, Write};

use sea_query::{MysqlQueryBuilder, PostgresQueryBuilder, SelectStatement, SqliteQueryBuilder, Value};
use sea_query::{QueryBuilder, SqlWriter};

use super::{dialect::Dialect, tx::Arg};
use crate::error::{Error, Result};

/// SQL and parameters of a composed statement.
///
/// # Errors
/// `Internal` for a parameter that is neither text nor a 64-bit number.
pub(super) fn build(dialect: Dialect, statement: &SelectStatement) -> Result<(String, Vec<Arg>)> {
    let mut text = Text { numbered: dialect == Dialect::Postgres, ..Text::default() };
    match dialect {
        Dialect::Sqlite => statement.build_collect_into(SqliteQueryBuilder, &mut text),
        Dialect::Postgres => statement.build_collect_into(PostgresQueryBuilder, &mut text),
        Dialect::Mysql { .. } => statement.build_collect_into(MysqlQueryBuilder, &mut text),
    }
    match text.foreign {
        Some(value) => Err(Error::internal(format!("parameter {value:?} is neither text nor a 64-bit number"))),
        None => Ok((text.sql, text.args)),
    }
}

#[derive(Debug, Default)]
struct Text {
    sql: String,
    args: Vec<Arg>,
    /// Parameters are `$1`, `$2` … and not `?`.
    numbered: bool,
    foreign: Option<Value>,
}

impl SqlWriter for Text {
    fn push_param<T: QueryBuilder>(&mut self, value: Value, _: &T) {
        let arg = match value {
            Value::String(text) => Arg::Text(text),
            Value::BigInt(number) => Arg::Int(number),
            // The length of a page. As a parameter it would hide from the planner that few rows are wanted, and SQLite
            // would prepare the statement anew with each value that is bound.
            Value::BigUnsigned(Some(limit)) => {
                self.sql.push_str(&limit.to_string());
                return;
            }
            other => {
                self.foreign = Some(other);
                return;
            }
        };
        self.args.push(arg);
        if self.numbered {
            self.sql.push('$');
            self.sql.push_str(&self.args.len().to_string());
        } else {
            self.sql.push('?');
        }
    }

    fn as_writer(&mut self) -> &mut dyn Write {
        self
    }
}

impl Write for Text {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        self.sql.write_str(s)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sql)
    }
}
