//! Manifests: every fault names file and line.

use fanlight::wasm::{Engine, Plugins};

use super::{MISBEHAVING, MOST_FREE, fault, fault_of, files, manifest};

#[test]
fn faults_name_the_line() {
    let cases = [
        ("flavour = \"mild\"", 5, "unknown field `flavour`"),
        ("order = \"first\"", 5, "invalid type: string \"first\", expected i32"),
        ("\n[limits]\nfuel = 1\nfuell = 2", 8, "unknown field `fuell`"),
        ("[limits]\nfuel = 0", 6, "`limits.fuel` must be 1 to 10000000000"),
        ("[limits]\nfuel = 1000\ndeadline-ms = 60_000", 7, "`limits.deadline-ms` must be 5 to 1000"),
        ("[limits]\nmemory-mib = 65", 6, "`limits.memory-mib` must be 1 to 64"),
        ("[limits]\noutput-kib = 2000", 6, "`limits.output-kib` must be 1 to 1024"),
        ("\n\n[settings]\nweight-points = \"many\"", 7, "`weight-points` is `many`, expected 0 to 1000"),
        ("[settings]\nspeed = \"1\"", 5, "unknown setting `speed`"),
        ("a = ", 5, ""),
    ];
    for (rest, line, text) in cases {
        let fault = fault("most-free", MOST_FREE, rest);
        assert_eq!((fault.file.as_str(), fault.line), ("most-free.toml", Some(line)), "{rest}: {fault}");
        assert!(fault.text.contains(text), "{rest}: {fault}");
    }
}

#[test]
fn keys_that_must_be_there() {
    let whole = manifest("most-free", MOST_FREE, "");
    for key in ["name", "world", "wasm", "sha256"] {
        let text: String = whole.lines().filter(|l| !l.starts_with(key)).map(|l| format!("{l}\n")).collect();
        let mut files = files("most-free", MOST_FREE, "");
        files[0].1 = text.into_bytes();
        let fault = fault_of(&files);
        assert!(fault.text.contains(&format!("missing field `{key}`")), "{fault}");
    }
}

/// The fault of the shipped plug-in when `from` in its manifest says `to`.
#[track_caller]
fn changed(from: &str, to: &str) -> String {
    let text = manifest("most-free", MOST_FREE, "");
    assert!(text.contains(from));
    let mut files = files("most-free", MOST_FREE, "");
    files[0].1 = text.replace(from, to).into_bytes();
    fault_of(&files).to_string()
}

#[test]
fn names_files_and_worlds_must_be_right() {
    assert_eq!(
        changed("name = \"most-free\"", "name = \"other\""),
        "most-free.toml:1: `name` is `other`, the plug-in calls itself `most-free`"
    );
    assert!(changed("name = \"most-free\"", "name = \"a b\"").starts_with("most-free.toml:1: `name` must be"));
    assert_eq!(
        changed("@1.0.0", "@2.0.0"),
        "most-free.toml:2: `world` is `fanlight:placement@2.0.0`, this host runs `fanlight:placement@1.0.0`"
    );
    assert_eq!(
        changed("most-free.wasm", "absent.wasm"),
        "most-free.toml:3: `wasm` names `absent.wasm`, which is not a file of this folder"
    );
    assert_eq!(
        changed("most-free.wasm", "../plugins/most-free.wasm"),
        "most-free.toml:3: `wasm` must be a file name without a folder"
    );
    let short = changed("sha256 = \"", "sha256 = \"0");
    assert_eq!(short, "most-free.toml:4: `sha256` must be 64 hex digits in lower case");
}

#[test]
fn another_component_than_the_manifest_says_is_not_run() {
    let mut files = files("most-free", MOST_FREE, "");
    files[1].1 = MISBEHAVING.to_vec();
    let fault = fault_of(&files);
    assert_eq!((fault.file.as_str(), fault.line), ("most-free.toml", Some(4)));
    assert!(fault.text.starts_with("`most-free.wasm` has sha256 "), "{fault}");
}

#[test]
fn two_manifests_of_one_component_clash() {
    let mut all = files("most-free", MOST_FREE, "");
    all.push(("z.toml".into(), manifest("most-free", MOST_FREE, "").into_bytes()));
    assert_eq!(fault_of(&all).to_string(), "z.toml: the name `most-free` is taken");
}

#[test]
fn every_fault_of_every_file_is_told() {
    let mut all = files("most-free", MOST_FREE, "x = 1");
    all.extend(files("misbehaving", MISBEHAVING, "y = 1"));
    let faults = Plugins::load(&all, &Engine::new().unwrap()).err().unwrap();
    let named: Vec<_> = faults.iter().map(|f| f.file.as_str()).collect();
    assert_eq!(named, ["misbehaving.toml", "most-free.toml"]);
}

#[test]
fn a_disabled_plug_in_is_left_out_and_order_counts() {
    let engine = Engine::new().unwrap();
    let off = Plugins::load(&files("most-free", b"not even wasm", "enabled = false"), &engine);
    assert!(off.is_ok_and(|p| p.placement().is_empty()));

    let mut all = files("most-free", MOST_FREE, "order = -1");
    all.extend(files("misbehaving", MISBEHAVING, ""));
    let plugins = Plugins::load(&all, &engine).map_err(|f| format!("{f:?}")).unwrap();
    let names: Vec<_> = plugins.placement().iter().map(|p| p.name()).collect();
    assert_eq!(names, ["most-free", "misbehaving"]);
}

#[test]
fn a_guest_may_refuse_its_settings_and_must_pass_a_first_call() {
    let refused = fault("misbehaving", MISBEHAVING, "[settings]\nbehave = \"bad-settings\"");
    assert_eq!(refused.to_string(), "misbehaving.toml:5: `[settings]`: `behave` is `bad-settings`");
    let wild = fault("misbehaving", MISBEHAVING, "[settings]\nbehave = \"loop\"");
    assert_eq!(
        wild.to_string(),
        "misbehaving.toml:1: `rank`, tried with invented stores: plug-in hit its limit: fuel of 10000000"
    );
}

#[test]
fn the_number_of_manifests_is_bounded_before_anything_is_compiled() {
    let all: Vec<_> = (0..17).map(|n| (format!("{n}.toml"), b"broken".to_vec())).collect();
    assert_eq!(fault_of(&all).text, "more than 16 manifests");
}
