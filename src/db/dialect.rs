//! What differs between the three databases, in one place.

use sea_query::NullOrdering;

/// Which SQL the server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    Postgres,
    /// `collation` compares by code point and without padding; its name depends on the flavour of the server.
    Mysql {
        collation: &'static str,
    },
}

impl Dialect {
    /// The dialect of a URL's scheme; of MySQL the flavour is learned later.
    pub(super) fn of_scheme(scheme: &str) -> Option<Self> {
        match scheme {
            "sqlite" => Some(Self::Sqlite),
            "postgres" | "postgresql" => Some(Self::Postgres),
            "mysql" | "mariadb" => Some(Self::Mysql { collation: "utf8mb4_nopad_bin" }),
            _ => None,
        }
    }

    /// MariaDB and MySQL name the same collation differently.
    pub(super) fn with_server_version(self, version: &str) -> Self {
        match self {
            Self::Mysql { .. } if !version.to_ascii_lowercase().contains("mariadb") => {
                Self::Mysql { collation: "utf8mb4_0900_bin" }
            }
            other => other,
        }
    }

    /// The fixed statements are written with `?`; PostgreSQL numbers its parameters. None of them has a `?` in a literal.
    pub(super) fn text(self, sql: &str) -> String {
        if self != Self::Postgres {
            return sql.to_owned();
        }
        let mut out = String::with_capacity(sql.len() + 16);
        let mut parts = sql.split('?');
        out.push_str(parts.next().unwrap_or_default());
        for (n, part) in parts.enumerate() {
            out.push('$');
            out.push_str(&(n + 1).to_string());
            out.push_str(part);
        }
        out
    }

    /// An array of arrays as JSON text: one inner array of `columns` for each row of `source`. No rows give `NULL` or `[]`.
    pub(super) fn json_rows(self, columns: &str, source: &str) -> String {
        match self {
            Self::Sqlite => format!("(SELECT json_group_array(json_array({columns})) FROM {source})"),
            Self::Postgres => format!("(SELECT json_agg(json_build_array({columns}))::text FROM {source})"),
            Self::Mysql { .. } => format!("(SELECT CAST(JSON_ARRAYAGG(JSON_ARRAY({columns})) AS CHAR) FROM {source})"),
        }
    }

    /// A sum as a 64-bit number, which PostgreSQL and MySQL widen to a decimal.
    pub(super) fn sum(self, expression: &str) -> String {
        match self {
            Self::Sqlite => format!("SUM({expression})"),
            Self::Postgres => format!("CAST(SUM({expression}) AS BIGINT)"),
            Self::Mysql { .. } => format!("CAST(SUM({expression}) AS SIGNED)"),
        }
    }

    /// SQLite and MySQL sort nulls first ascending by themselves; PostgreSQL has to be told.
    pub(super) fn nulls(self, descending: bool) -> Option<NullOrdering> {
        (self == Self::Postgres).then_some(if descending { NullOrdering::Last } else { NullOrdering::First })
    }

    /// How a transaction that will write begins. SQLite takes its write lock at once, so that no later statement
    /// can meet a lock that waiting does not solve.
    pub(super) fn begin(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres | Self::Mysql { .. } => "BEGIN",
        }
    }

    /// What each new connection is told first.
    pub(super) fn session(self) -> &'static [&'static str] {
        match self {
            Self::Sqlite => &[
                "PRAGMA busy_timeout = 10000",
                "PRAGMA journal_mode = WAL",
                "PRAGMA synchronous = FULL",
                "PRAGMA foreign_keys = ON",
                "PRAGMA cache_size = -16000",
                "PRAGMA mmap_size = 268435456",
            ],
            Self::Postgres => &["SET lock_timeout = '10s'"],
            Self::Mysql { .. } => &[
                "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
                "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
                // JSON_ARRAYAGG of MariaDB is cut at this length.
                "SET SESSION group_concat_max_len = 1073741824",
                "SET SESSION innodb_lock_wait_timeout = 10",
            ],
        }
    }

    /// Adds the state of a store unless it has one.
    pub(super) fn ensure_store_state(self) -> &'static str {
        match self {
            Self::Sqlite | Self::Postgres => {
                "INSERT INTO store_states (store, state, updated_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
            }
            Self::Mysql { .. } => "INSERT IGNORE INTO store_states (store, state, updated_at) VALUES (?, ?, ?)",
        }
    }

    /// Adds a ledger row of zeros unless it is there.
    pub(super) fn ensure_usage(self) -> &'static str {
        match self {
            Self::Sqlite | Self::Postgres => {
                "INSERT INTO quota_usage (scope, resource, in_use, reserved) VALUES (?, ?, 0, 0) ON CONFLICT DO NOTHING"
            }
            Self::Mysql { .. } => {
                "INSERT IGNORE INTO quota_usage (scope, resource, in_use, reserved) VALUES (?, ?, 0, 0)"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postgres_numbers_its_parameters() {
        let sql = "UPDATE t SET a = ? WHERE b = ? AND c = ?";
        assert_eq!(Dialect::Postgres.text(sql), "UPDATE t SET a = $1 WHERE b = $2 AND c = $3");
        assert_eq!(Dialect::Sqlite.text(sql), sql);
    }

    #[test]
    fn mysql_gets_its_own_collation_name() {
        let any = Dialect::of_scheme("mysql").expect("a known scheme");
        assert_eq!(any.with_server_version("10.11.6-MariaDB-1"), Dialect::Mysql { collation: "utf8mb4_nopad_bin" });
        assert_eq!(any.with_server_version("8.0.36"), Dialect::Mysql { collation: "utf8mb4_0900_bin" });
        assert_eq!(Dialect::of_scheme("oracle"), None);
    }
}
