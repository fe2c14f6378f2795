//! The database: the only module with SQL. SQLite, PostgreSQL and MariaDB/MySQL by the same composed queries.
