//! A database of its own for each test.

use sqlx::{AnyConnection, Connection, Executor};

/// Dropped with its test, at the server too.
pub struct Database {
    url: Option<String>,
    server: Option<String>,
    name: String,
}

impl Database {
    /// On the server of `FANLIGHT_TEST_DATABASE`, or SQLite in the test's folder.
    pub async fn create() -> Self {
        let server = std::env::var("FANLIGHT_TEST_DATABASE").ok().filter(|s| !s.is_empty());
        Self::create_on(server).await
    }

    /// On a named server, or SQLite.
    pub async fn create_on(server: Option<String>) -> Self {
        let name = format!("fanlight_test_{}", uuid::Uuid::new_v4().simple());
        let url = match &server {
            None => None,
            Some(server) => {
                sqlx::any::install_default_drivers();
                let mut connection = AnyConnection::connect(server).await.expect("the test database server answers");
                let sql = format!("CREATE DATABASE {name}");
                connection.execute(sqlx::AssertSqlSafe(sql)).await.expect("a test database can be made");
                let mut url = url::Url::parse(server).unwrap();
                url.set_path(&name);
                Some(url.to_string())
            }
        };
        Self { url, server, name }
    }

    pub fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (Some(server), name) = (self.server.clone(), self.name.clone()) else { return };
        // Drop runs inside of the test's runtime, where nothing may block on another future.
        let gone = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut connection = AnyConnection::connect(&server).await?;
                let force = if server.starts_with("postgres") { " WITH (FORCE)" } else { "" };
                if force.is_empty() {
                    end_connections(&mut connection, &name).await?;
                }
                connection.execute(sqlx::AssertSqlSafe(format!("DROP DATABASE {name}{force}"))).await?;
                Ok::<_, sqlx::Error>(())
            })
        });
        if let Ok(Err(error)) = gone.join() {
            eprintln!("test database {} was not dropped: {error}", self.name);
        }
    }
}

/// MariaDB waits for transactions that a test's runtime, blocked in the drop, will never end.
async fn end_connections(connection: &mut AnyConnection, name: &str) -> Result<(), sqlx::Error> {
    let sql = format!("SELECT CAST(id AS SIGNED) FROM information_schema.processlist WHERE db = '{name}'");
    let open: Vec<(i64,)> = sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_all(&mut *connection).await?;
    for (id,) in open {
        // One that ended meanwhile is an error, and as good.
        let _ = connection.execute(sqlx::AssertSqlSafe(format!("KILL {id}"))).await;
    }
    Ok(())
}
