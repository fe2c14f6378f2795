//! Plug-ins change while the service runs.

use std::path::Path;

use fanlight::rules::Outcome;

use crate::support::{ALICE, BOB, TestApp};

async fn home(app: &TestApp, token: &str, name: &str) -> String {
    let id = app.active(token, name, b"some bytes of an image").await;
    app.get(&format!("/v2/images/{id}"), token).await.json()["stores"].as_str().unwrap().to_owned()
}

fn add_by_project(plugins: &Path) {
    for file in ["by-project.toml", "by-project.wasm"] {
        std::fs::copy(Path::new("plugins/examples").join(file), plugins.join(file)).unwrap();
    }
}

#[tokio::test]
async fn the_next_upload_goes_where_the_new_plug_in_says() {
    let app = TestApp::with(|config| {
        // One store is preferred, whatever room the disk of this machine has.
        config.stores.get_mut("alpha").unwrap().weight = 5;
    })
    .await;
    let plugins = app.folder().join("plugins");
    assert_eq!(home(&app, ALICE, "before").await, "alpha");

    add_by_project(&plugins);
    assert_eq!(
        app.app.rules.reload("test", fanlight::rules::Removals::Refused).await,
        Outcome::Loaded { generation: 2 }
    );
    assert_eq!(home(&app, ALICE, "after").await, "beta");
    assert_eq!(home(&app, BOB, "another project").await, "alpha");

    std::fs::write(plugins.join("by-project.wasm"), "not wasm").unwrap();
    let Outcome::Refused { generation: 2, .. } = app.app.rules.reload("test", fanlight::rules::Removals::Refused).await
    else {
        panic!("refused")
    };
    assert_eq!(home(&app, ALICE, "still").await, "beta");
    let status = app.app.rules.status();
    assert_eq!(status.generation, 2);
    assert!(status.plugins.iter().any(|p| p.starts_with("by-project@sha256:")), "{:?}", status.plugins);
    let [fault] = status.faults.as_slice() else { panic!("{:?}", status.faults) };
    assert_eq!((fault.file.as_str(), fault.line), ("by-project.toml", Some(5)));
    assert!(fault.text.contains("`by-project.wasm` has sha256"), "{fault}");

    std::fs::remove_file(plugins.join("by-project.toml")).unwrap();
    assert_eq!(
        app.app.rules.reload("test", fanlight::rules::Removals::Refused).await,
        Outcome::Loaded { generation: 3 }
    );
    assert_eq!(app.app.rules.status().faults, []);
    assert_eq!(home(&app, ALICE, "last").await, "alpha");
}
