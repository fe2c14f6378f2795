//! Migrations, which are in the binary, and checks of what they made.

use std::borrow::Cow;

use sqlx::{
    AssertSqlSafe, SqlSafeStr,
    migrate::{Migrate, Migration, MigrationType, Migrator},
};

use super::{Db, dialect::Dialect, row::get, tx::args, tx::fault};
use crate::error::{Error, Result};

/// Version, name, and the text for SQLite, PostgreSQL and MySQL.
const MIGRATIONS: &[(i64, &str, [&str; 3])] = &[
    (
        1,
        "images",
        [
            include_str!("../../migrations/sqlite/0001_images.sql"),
            include_str!("../../migrations/postgres/0001_images.sql"),
            include_str!("../../migrations/mysql/0001_images.sql"),
        ],
    ),
    (
        2,
        "deletions",
        [
            include_str!("../../migrations/sqlite/0002_deletions.sql"),
            include_str!("../../migrations/postgres/0002_deletions.sql"),
            include_str!("../../migrations/mysql/0002_deletions.sql"),
        ],
    ),
    (
        3,
        "copies",
        [
            include_str!("../../migrations/sqlite/0003_copies.sql"),
            include_str!("../../migrations/postgres/0003_copies.sql"),
            include_str!("../../migrations/mysql/0003_copies.sql"),
        ],
    ),
    (
        4,
        "stores",
        [
            include_str!("../../migrations/sqlite/0004_stores.sql"),
            include_str!("../../migrations/postgres/0004_stores.sql"),
            include_str!("../../migrations/mysql/0004_stores.sql"),
        ],
    ),
];

/// Where the schema of a database stands.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SchemaStatus {
    /// Migrations that were applied, in order, such as `0001 images`.
    pub applied: Vec<String>,
    /// Migrations of this binary that were not.
    pub pending: Vec<String>,
    /// Versions in the database that this binary does not know: a newer one was here.
    pub unknown: Vec<i64>,
    /// Versions that were applied from another text than this binary has.
    pub changed: Vec<i64>,
}

impl SchemaStatus {
    /// Whether this binary can serve on this schema.
    pub fn is_current(&self) -> bool {
        self.pending.is_empty() && self.changed.is_empty()
    }
}

impl Db {
    /// Brings the schema to the state of this binary. Returns the migrations that it applied.
    ///
    /// # Errors
    /// `Unavailable` when the database is, `Internal` when a migration fails.
    pub async fn migrate(&self) -> Result<Vec<String>> {
        let before = self.schema().await?;
        // One gateway at a time within this process; between processes the servers' advisory locks decide.
        let migrator = migrator(self.inner.dialect);
        migrator.run(&self.inner.pool).await.map_err(|e| match e {
            sqlx::migrate::MigrateError::Execute(e) => fault(e),
            other => Error::internal(other),
        })?;
        Ok(before.pending)
    }

    /// Where the schema stands.
    ///
    /// # Errors
    /// `Unavailable` when the database is.
    pub async fn schema(&self) -> Result<SchemaStatus> {
        let mut connection = self.inner.pool.acquire().await.map_err(fault)?;
        let broken = |e: sqlx::migrate::MigrateError| match e {
            sqlx::migrate::MigrateError::Execute(e) => fault(e),
            other => Error::internal(other),
        };
        let known = migrator(self.inner.dialect);
        connection.ensure_migrations_table(&known.table_name).await.map_err(broken)?;
        let applied = connection.list_applied_migrations(&known.table_name).await.map_err(broken)?;
        let title = |m: &Migration| format!("{:04} {}", m.version, m.description);
        let find = |version: i64| applied.iter().find(|a| a.version == version);
        let differs = |m: &&Migration| find(m.version).is_some_and(|a| a.checksum != m.checksum);
        Ok(SchemaStatus {
            applied: known.iter().filter(|m| find(m.version).is_some()).map(title).collect(),
            pending: known.iter().filter(|m| find(m.version).is_none()).map(title).collect(),
            unknown: applied.iter().map(|a| a.version).filter(|v| !known.version_exists(*v)).collect(),
            changed: known.iter().filter(differs).map(|m| m.version).collect(),
        })
    }

    /// Looks for what must not be: a schema of another version, damage, a ledger that does not add up, and rows that
    /// break an invariant. Returns findings for people; none means all is well.
    ///
    /// # Errors
    /// `Unavailable` when the database is.
    pub async fn check(&self) -> Result<Vec<String>> {
        let status = self.schema().await?;
        let mut findings: Vec<String> = status.pending.iter().map(|m| format!("migration `{m}` is pending")).collect();
        findings.extend(status.unknown.iter().map(|v| format!("migration `{v:04}` is not known to this version")));
        findings.extend(status.changed.iter().map(|v| format!("migration `{v:04}` was applied from another text")));
        if !status.pending.is_empty() {
            return Ok(findings);
        }
        if self.inner.dialect == Dialect::Sqlite {
            for row in self.rows("PRAGMA integrity_check(10)".into(), args![]).await? {
                let line: String = get(&row, 0)?;
                if line != "ok" {
                    findings.push(format!("database file: {line}"));
                }
            }
        }
        for drift in self.recount().await? {
            findings.push(format!(
                "quota of project `{}`, {}: ledger has {}+{}, counted {}+{} (in use + reserved)",
                drift.scope,
                drift.resource,
                drift.ledger.in_use,
                drift.ledger.reserved,
                drift.counted.in_use,
                drift.counted.reserved,
            ));
        }
        for (what, sql) in SUSPECTS {
            for row in self.rows((*sql).into(), args![]).await? {
                findings.push(format!("image `{}`: {what}", get::<String>(&row, 0)?));
            }
        }
        Ok(findings)
    }
}

/// Rows that no sequence of operations can make.
const SUSPECTS: &[(&str, &str)] = &[
    (
        "active without data",
        "SELECT i.id FROM images i WHERE i.deleted = 0 AND i.status IN ('active', 'deactivated') \
         AND NOT EXISTS (SELECT 1 FROM image_locations l WHERE l.image_id = i.id) LIMIT 100",
    ),
    (
        "saving without an upload",
        "SELECT i.id FROM images i WHERE i.deleted = 0 AND i.status IN ('saving', 'importing') \
         AND NOT EXISTS (SELECT 1 FROM uploads u WHERE u.image_id = i.id) LIMIT 100",
    ),
    (
        "deleted but still being copied",
        "SELECT i.id FROM images i WHERE i.deleted = 1 \
         AND EXISTS (SELECT 1 FROM copies c WHERE c.image_id = i.id AND c.state IN ('queued', 'running')) LIMIT 100",
    ),
    (
        "deleted but still with data",
        "SELECT i.id FROM images i WHERE i.deleted = 1 \
         AND EXISTS (SELECT 1 FROM image_locations l WHERE l.image_id = i.id) LIMIT 100",
    ),
];

fn migrator(dialect: Dialect) -> Migrator {
    let migrations = MIGRATIONS.iter().map(|(version, name, [sqlite, postgres, mysql])| {
        let text = match dialect {
            Dialect::Sqlite => (*sqlite).to_owned(),
            Dialect::Postgres => (*postgres).to_owned(),
            Dialect::Mysql { collation } => mysql.replace("{collation}", collation),
        };
        Migration::new(*version, Cow::Borrowed(*name), MigrationType::Simple, AssertSqlSafe(text).into_sql_str(), false)
    });
    Migrator::with_migrations(migrations.collect())
}
