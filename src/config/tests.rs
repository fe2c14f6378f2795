//! The example file is complete and true; a bad file is reported whole.

use std::{collections::BTreeSet, path::Path};

use secrecy::ExposeSecret;

use super::{Config, Identity, Store};

const EXAMPLE: &str = include_str!("../../fanlight.example.toml");
const MANUAL: &str = include_str!("../../docs/configuration.md");

fn no_env(_: &str) -> Option<String> {
    None
}

fn faults(text: &str) -> Vec<String> {
    let report = Config::parse("t.toml", text, &no_env).unwrap_err();
    report.faults.iter().map(|f| format!("{}: {}", f.key, f.problem)).collect()
}

/// The example with every `#key = …` and `#[table]` line taken in.
fn uncommented(mode: &str) -> String {
    let other_mode = |line: &str| mode == "keystone" && line.starts_with("peers");
    let line = |line: &'static str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => rest,
        _ => line,
    };
    let lines = EXAMPLE.lines().map(line).filter(|l| !other_mode(l));
    lines.collect::<Vec<_>>().join("\n").replace("mode = \"dev\"", &format!("mode = \"{mode}\""))
}

#[test]
fn the_example_is_the_development_gateway() {
    let example = Config::parse("example", EXAMPLE, &no_env).unwrap();
    let plain = Config::load(None, no_env).unwrap();
    assert_eq!(format!("{example:#?}"), format!("{plain:#?}"));
    assert_eq!(format!("{plain:#?}"), format!("{:#?}", Config::development(Path::new("data"))));
    assert_eq!(plain.default_store(), Some("alpha"));
}

#[test]
fn every_key_stands_in_the_example_and_in_the_manual() {
    let (_, known) = Config::parse_with_keys("example", &uncommented("keystone"), &no_env);
    assert!(known.len() > 60, "{known:?}");
    let set: BTreeSet<&str> =
        EXAMPLE.lines().filter_map(|l| l.trim_start_matches('#').split_once('=')).map(|(key, _)| key.trim()).collect();
    for key in known {
        let name = key.rsplit('.').next().unwrap();
        let is_table = EXAMPLE.contains(&format!("[{key}")) || key.contains("ID.") && name == "ID";
        let is_free = key.contains(".labels.") || key.ends_with(".ID");
        // Names that the operator chose in the example itself.
        let is_chosen = ["alpha", "beta", "0123456789abcdef0123456789abcdef"].contains(&name);
        if is_table || is_free || is_chosen {
            continue;
        }
        assert!(set.contains(name), "`{key}` is missing in fanlight.example.toml");
        assert!(MANUAL.contains(&format!("`{name}`")), "`{key}` is missing in docs/configuration.md");
    }
}

#[test]
fn every_key_of_the_example_is_known() {
    for mode in ["keystone", "trusted-headers"] {
        let report = Config::parse("example", &uncommented(mode), &no_env).unwrap_err().to_string();
        assert!(!report.contains("not a known key") && !report.contains("is not TOML"), "{report}");
    }
}

#[test]
fn a_pool_is_checked() {
    let text = r#"
        [store.a]
        type = "rbd"
        pool = ""
        user = "client.glance"
        chunk_size_mib = 3
        in_flight = 0
        timeout_s = 1000
        path = "/srv"
        default = true
        [store.b]
        type = "rbd"
        conf = "/etc/ceph/b.conf"
        [store.c]
        type = "rbd"
        conf = "/etc/ceph/b.conf"
        user = "other"
    "#;
    let found = faults(text);
    let wanted = [
        "store.a.pool: is empty",
        "store.a.user: begins with `client.`",
        "store.a.chunk_size_mib: 3 is no power of two",
        "store.a.in_flight: 0 is out of range",
        "store.a.timeout_s: 1000 is out of range",
        "store.a.path: is not a known key",
        "store.c.pool: is the pool of store `b`",
    ];
    for fault in wanted {
        assert!(found.iter().any(|f| f == fault), "{fault} in {found:#?}");
    }
    let without = found.iter().filter(|f| f.contains("built without Ceph")).count();
    assert_eq!(without, if cfg!(feature = "rbd") { 0 } else { 3 });
}

#[test]
fn a_bad_file_is_reported_whole() {
    let bad = include_str!("../../tests/golden/bad-config.toml");
    let env = |name: &str| (name == "FANLIGHT_LISTEN").then(|| "localhost".to_owned());
    let report = Config::parse("bad.toml", bad, &env).unwrap_err().to_string();
    assert!(!report.contains("hunter2"), "{report}");
    insta::assert_snapshot!(report);
}

#[test]
fn the_environment_sets_and_hides() {
    let env = |name: &str| {
        let value = match name {
            "FANLIGHT_DATA_DIR" => "/srv/fan",
            "FANLIGHT_LISTEN" => "[::1]:1",
            "FANLIGHT_DATABASE_URL" => "mysql://fan:hunter2@db/fan",
            _ => return None,
        };
        Some(value.to_owned())
    };
    let config = Config::parse("t", "data_dir = \"x\"\nlisten = \"127.0.0.1:2\"", &env).unwrap();
    assert_eq!((config.data_dir.to_str(), config.listen.port()), (Some("/srv/fan"), 1));
    assert_eq!(config.database.url.as_ref().unwrap().expose_secret(), "mysql://fan:hunter2@db/fan");
    assert_eq!(config.database.describe(&config.data_dir), "MariaDB/MySQL db/fan");
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn secrets_come_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "s3cret\n").unwrap();
    let text = |password: &str| {
        format!(
            "[identity]\nmode = \"keystone\"\nauth_url = \"https://k/v3\"\nusername = \"u\"\nproject_name = \"p\"\n\
             {password}\n[store.a]\ntype = \"file\"\npath = {:?}\n",
            folder.path().join("a")
        )
    };
    let config = Config::parse("t", &text(&format!("password_file = {file:?}")), &no_env).unwrap();
    let Identity::Keystone(keystone) = &config.identity else { panic!("{config:?}") };
    assert_eq!(keystone.password.expose_secret(), "s3cret");
    assert!(config.stores.get("a").is_some_and(|s: &Store| s.default), "the only store is the default");
    assert_eq!(faults(&text("")), ["identity.password: is missing"]);
    assert_eq!(faults(&text("password_file = \"/nowhere/p\"")).len(), 1);
    assert_eq!(faults(&text(&format!("password = \"x\"\npassword_file = {file:?}"))).len(), 1);
}

#[test]
fn nothing_is_listened_to_by_mistake() {
    assert_eq!(faults("listen = \"0.0.0.0:9292\"").len(), 1);
    assert!(Config::parse("t", "listen = \"[::ffff:127.0.0.1]:9292\"", &no_env).is_ok());
    let open =
        "[identity]\nmode = \"trusted-headers\"\npeers = [\"0.0.0.0/0\"]\n[store.a]\ntype = \"file\"\npath = \"a\"";
    assert_eq!(faults(open), ["identity.peers: holds the whole internet: anybody could claim to be anybody"]);
    assert_eq!(faults("[identity]\nmode = \"keystone\"").len(), 5, "url, user, project, password, store");
}

#[test]
fn folders_of_stores_do_not_overlap() {
    let text =
        "[store.a]\ntype = \"file\"\npath = \"x\"\ndefault = true\n[store.b]\ntype = \"file\"\npath = \"y/../x/z\"";
    assert_eq!(faults(text), ["store.b.path: overlaps with the folder of store `a`"]);
}

#[test]
fn limits_can_be_lifted() {
    let text = "[quota]\nimage_tag_quota = -1\nimage_size_total = 5\n[quota.project.p]\nimage_size_total = -1";
    let quota = Config::parse("t", text, &no_env).unwrap().quota;
    assert_eq!((quota.image_tag_quota, quota.image_size_total), (None, Some(5)));
    let project = quota.project.get("p").unwrap();
    assert_eq!((project.image_size_total, project.image_count_total), (Some(i64::MAX as u64), None));
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "(\\[|\\]|=|\"|[a-z_]{1,9}|\n|[0-9]{1,20}|listen|store|quota|\\.|é| ){0,60}") {
        let _ = Config::parse("t", &text, &no_env);
    }
}
