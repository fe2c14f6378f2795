//! `kill -9` at each step of an activation and of a rollback, on the real binary: the policies folder holds the old
//! content or the new one, whole, the gateway starts on it, and what was in force before can be had back.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::json;

use crate::support::Gateway;

/// No run takes more steps than this; the test fails rather than go on for ever.
const MOST_STEPS: u32 = 60;

/// A gateway's folder with policies of one file, which says by its id which content it is.
struct Case {
    folder: tempfile::TempDir,
}

impl Case {
    fn new() -> Self {
        let case = Self { folder: tempfile::tempdir().unwrap() };
        case.write("policies", "v0");
        case
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn start(&self) -> Gateway {
        let rules = format!("[rules]\npolicies = {:?}\n", self.path("policies"));
        Gateway::start(self.folder.path(), &rules)
    }

    fn write(&self, folder: &str, id: &str) {
        fs::create_dir_all(self.path(folder)).unwrap();
        fs::write(self.path(folder).join("a.cedar"), policy(id)).unwrap();
    }

    /// Activates content `id`; the status of the answer, if one came.
    fn activate(&self, gateway: &Gateway, id: &str) -> Option<u16> {
        self.write("next", id);
        let body = json!({"folder": self.path("next")}).to_string();
        gateway.operate("POST", "/rules/activate", &body).map(|(status, _)| status)
    }

    /// What the folder holds: one whole file and nothing else.
    fn content(&self) -> String {
        let names: Vec<_> = fs::read_dir(self.path("policies")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["a.cedar"]);
        let text = fs::read_to_string(self.path("policies").join("a.cedar")).unwrap();
        let id = text.split('"').nth(1).unwrap().to_owned();
        assert_eq!(text, policy(&id));
        id
    }

    /// The gateway that starts after a kill has in force what the folder holds.
    fn restarted(&self) -> Gateway {
        let gateway = self.start();
        let (_, rules) = gateway.operate("GET", "/rules", "").unwrap();
        assert_eq!(rules["policies"], json!([self.content()]));
        gateway
    }
}

fn policy(id: &str) -> String {
    format!("@id(\"{id}\")\npermit (principal, action, resource);\n")
}

fn roll_back(gateway: &Gateway) -> Option<u16> {
    gateway.operate("POST", "/rules/rollback", "").map(|(status, _)| status)
}

fn kept(folder: &Path) -> usize {
    fs::read_dir(folder).map_or(0, |entries| entries.count())
}

#[test]
fn killed_at_any_step_of_an_activation_the_folder_is_whole() {
    let case = Case::new();
    for step in 1..MOST_STEPS {
        let (old, new) = (case.content(), format!("v{step}"));
        let gateway = case.start();
        let killer = gateway.kill_at(step);
        let answer = case.activate(&gateway, &new);
        let survived = gateway.ended(killer);

        let holds = case.content();
        assert!(holds == old || holds == new, "step {step}: {holds} is neither {old} nor {new}");
        assert!(answer != Some(200) || holds == new, "acknowledged, then lost, step {step}");
        let gateway = case.restarted();
        if holds == new {
            assert_eq!(roll_back(&gateway), Some(200), "step {step}");
            assert_eq!(case.content(), old, "what was in force before is had back, step {step}");
        }
        assert_eq!(case.activate(&gateway, &new), Some(200), "step {step}");
        assert_eq!(case.content(), new);
        if survived {
            assert!(step > 8, "nothing was killed: {step} steps cannot be all");
            assert_eq!(kept(&case.path("policies.previous")), 11, "ten previous contents and the undone one");
            return;
        }
    }
    panic!("an activation takes more than {MOST_STEPS} steps");
}

#[test]
fn killed_at_any_step_of_a_rollback_the_folder_is_whole() {
    let case = Case::new();
    for step in 1..MOST_STEPS {
        let (old, new) = (case.content(), format!("v{step}"));
        let gateway = case.start();
        assert_eq!(case.activate(&gateway, &new), Some(200));
        let killer = gateway.kill_at(step);
        let answer = roll_back(&gateway);
        let survived = gateway.ended(killer);

        let holds = case.content();
        assert!(holds == old || holds == new, "step {step}: {holds} is neither {old} nor {new}");
        assert!(answer != Some(200) || holds == old, "acknowledged, then lost, step {step}");
        let gateway = case.restarted();
        if holds == new {
            assert_eq!(roll_back(&gateway), Some(200), "the same rollback works after the restart, step {step}");
        }
        assert_eq!(case.content(), old);
        // Nothing went before: a rollback that was cut off has not become previous content itself.
        assert_eq!(roll_back(&gateway), Some(409), "step {step}");
        if survived {
            assert!(step > 4, "nothing was killed: {step} steps cannot be all");
            return;
        }
    }
    panic!("a rollback takes more than {MOST_STEPS} steps");
}
