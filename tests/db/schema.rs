//! Migrations: they run once, know their state, and make the same tables on each database.

use fanlight::db::Db;
use sqlx::{Connection, Row};

use super::{Place, on_each, servers};

#[test]
fn migrating_twice_changes_nothing() {
    on_each(|db, _| async move {
        assert_eq!(db.migrate().await.expect("again"), Vec::<String>::new());
        let status = db.schema().await.expect("a status");
        assert!(status.is_current(), "{status:?}");
        assert_eq!(status.applied, ["0001 images", "0002 deletions", "0003 copies", "0004 stores"]);
    });
}

#[tokio::test]
async fn an_empty_database_is_reported_as_pending() {
    let dir = tempfile::TempDir::new().expect("a folder");
    let db = Db::connect(&fanlight::config::Database::default(), dir.path()).await.expect("a database");
    let status = db.schema().await.expect("a status");
    assert_eq!(status.pending, ["0001 images", "0002 deletions", "0003 copies", "0004 stores"]);
    let findings: Vec<_> = status.pending.iter().map(|step| format!("migration `{step}` is pending")).collect();
    assert_eq!(db.check().await.expect("a check"), findings);
}

#[test]
fn all_databases_have_the_same_schema() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let place = Place::new(None).await;
        let expected = describe(&place).await;
        assert!(expected.iter().any(|line| line.starts_with("column images.id ")), "{expected:#?}");
        assert!(expected.iter().any(|line| line.starts_with("index images ")), "{expected:#?}");
        place.close().await;
        for server in servers() {
            let place = Place::new(Some(&server)).await;
            assert_eq!(describe(&place).await, expected, "on {}", place.kind);
            place.close().await;
        }
    });
}

/// Tables, columns with type and nullability, and the columns of indexes, in words that all databases share.
async fn describe(place: &Place) -> Vec<String> {
    let url = match &place.config.url {
        Some(url) => secrecy::ExposeSecret::expose_secret(url).to_owned(),
        None => format!("sqlite:{}", place.dir.path().join("fanlight.db").display()),
    };
    let mut connection = sqlx::AnyConnection::connect(&url).await.expect("a connection");
    let (columns, indexes) = match place.kind.as_str() {
        "sqlite" => (
            "SELECT m.name, c.name, c.type, CASE c.\"notnull\" WHEN 0 THEN 'null' ELSE 'not null' END \
             FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table'",
            "SELECT m.name, group_concat(c.name, ',') FROM sqlite_master m JOIN pragma_index_list(m.name) i \
             JOIN pragma_index_info(i.name) c WHERE m.type = 'table' GROUP BY m.name, i.name",
        ),
        "postgres" => (
            "SELECT table_name::text, column_name::text, data_type::text || coalesce(character_maximum_length, 0), \
             CASE is_nullable WHEN 'YES' THEN 'null' ELSE 'not null' END \
             FROM information_schema.columns WHERE table_schema = 'public'",
            "SELECT t.relname::text, string_agg(a.attname::text, ',' ORDER BY array_position(x.indkey::int2[], a.attnum)) \
             FROM pg_index x JOIN pg_class t ON t.oid = x.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace \
             JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = ANY (x.indkey) \
             WHERE n.nspname = 'public' GROUP BY t.relname, x.indexrelid",
        ),
        _ => (
            "SELECT CAST(table_name AS CHAR), CAST(column_name AS CHAR), CAST(column_type AS CHAR), \
             CASE is_nullable WHEN 'YES' THEN 'null' ELSE 'not null' END \
             FROM information_schema.columns WHERE table_schema = database()",
            "SELECT CAST(table_name AS CHAR), CAST(group_concat(column_name ORDER BY seq_in_index) AS CHAR) \
             FROM information_schema.statistics WHERE table_schema = database() GROUP BY table_name, index_name",
        ),
    };
    let ours = |table: &str| !table.starts_with('_') && !table.starts_with("sqlite");
    let mut lines = Vec::new();
    for row in sqlx::query(columns).fetch_all(&mut connection).await.expect("columns") {
        let [table, column, kind, null] = [0, 1, 2, 3].map(|i| row.get::<String, _>(i));
        if ours(&table) {
            lines.push(format!("column {table}.{column} {} {null}", common_type(&kind)));
        }
    }
    for row in sqlx::query(indexes).fetch_all(&mut connection).await.expect("indexes") {
        let [table, columns] = [0, 1].map(|i| row.get::<String, _>(i));
        // SQLite has no index for an integer primary key: it is the table.
        if ours(&table) && (table.as_str(), columns.as_str()) != ("outbox", "id") {
            lines.push(format!("index {table} {columns}"));
        }
    }
    lines.sort();
    lines
}

fn common_type(kind: &str) -> String {
    let kind = kind.to_lowercase();
    match kind.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default() {
        "bigint" | "integer" => "bigint".into(),
        "text" | "mediumtext" => "text".into(),
        _ => kind.chars().filter(char::is_ascii_digit).collect::<String>(),
    }
}
