//! What policies decide over HTTP, and how they change while requests run.

mod docs;
mod explain;
mod http;
mod imported;
mod lists;
mod matrix;
mod properties;
mod reload;
mod shadow;
mod shipped;
mod stores;

/// Holds a table against `tests/golden/<name>`, which `UPDATE_GOLDEN=1` writes anew.
#[track_caller]
fn golden(name: &str, now: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, now).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    for (line, (was, is)) in golden.lines().zip(now.lines()).enumerate() {
        assert_eq!(was, is, "{}:{}", path.display(), line + 1);
    }
    assert_eq!(golden, now);
}
