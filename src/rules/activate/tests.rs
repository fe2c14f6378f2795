//! The policies folder changes whole, keeps what it held, and survives being cut off at any step.

use std::{fs, path::Path, time::Duration};

use super::*;
use crate::{
    authz::Action,
    rules::{
        Removals,
        tests::{ADMINS, Case, READERS, may, wait_for},
    },
};

/// Nobody may do anything but manage the cache.
const THIRD: &str = "@id(\"third\")\npermit (principal, action == Action::\"manage_image_cache\", resource);\n";

impl Case {
    /// A folder of policies beside the one in force.
    fn other(&self, name: &str, text: &str) -> PathBuf {
        let folder = self.folder.path().join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("a.cedar"), text).unwrap();
        folder
    }

    fn policies(&self) -> PathBuf {
        self.folder.path().join("policies")
    }

    fn kept(&self, name: &str) -> PathBuf {
        self.folder.path().join("policies.previous").join(name)
    }

    fn holds(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }
}

fn text(folder: &Path) -> String {
    fs::read_to_string(folder.join("a.cedar")).unwrap()
}

#[tokio::test]
async fn activate_and_rollback_go_forth_and_back_in_one_step_each() {
    let case = Case::new();
    fs::write(case.policies().join("README"), "mine").unwrap();
    let (second, third) = (case.other("second", ADMINS), case.other("third", THIRD));
    assert_eq!(case.book.activate(Some(second)).await, Outcome::Loaded { generation: 2 });
    assert!(may(&case.book, Action::ManageImageCache) && !may(&case.book, Action::GetImages));
    assert_eq!((case.holds().as_str(), text(&case.kept("000001")).as_str()), (ADMINS, READERS));
    assert_eq!(
        case.book.reload("test", Removals::Accepted).await,
        Outcome::Unchanged { generation: 2 },
        "the folder holds what is in force"
    );
    assert_eq!(case.book.activate(Some(third.clone())).await, Outcome::Loaded { generation: 3 });
    assert_eq!(case.book.activate(Some(third)).await, Outcome::Unchanged { generation: 3 });

    assert_eq!(case.book.rollback().await, Outcome::Loaded { generation: 4 });
    assert_eq!((case.holds().as_str(), text(&case.kept("undone")).as_str()), (ADMINS, THIRD));
    assert_eq!(case.book.rollback().await, Outcome::Loaded { generation: 5 });
    assert_eq!((case.holds().as_str(), text(&case.kept("undone")).as_str()), (READERS, ADMINS));
    assert!(may(&case.book, Action::GetImages));
    assert_eq!(fs::read_to_string(case.policies().join("README")).unwrap(), "mine", "what lay beside came back too");
    let Outcome::Refused { generation: 5, faults } = case.book.rollback().await else { panic!("nothing is left") };
    assert!(faults[0].text.contains("no previous content"), "{faults:?}");
}

#[tokio::test]
async fn what_is_wrong_is_not_activated() {
    let case = Case::new();
    let wrong = case.other("wrong", "@id(\"x\")\npermit (principal, action, resource)\nwhen { principal.roles == 1 };");
    let Outcome::Refused { generation: 1, faults } = case.book.activate(Some(wrong)).await else { panic!("refused") };
    assert_eq!((faults[0].file.as_str(), faults[0].line), ("a.cedar", Some(3)));
    assert_eq!(case.holds(), READERS);
    assert!(!case.kept("").exists() && may(&case.book, Action::GetImages));
    assert!(case.book.status().faults.is_empty(), "the folder in force is as good as before");
    let Outcome::Refused { faults, .. } = case.book.activate(None).await else { panic!("refused") };
    assert!(faults[0].text.contains("no candidate"), "{faults:?}");
}

#[tokio::test]
async fn the_candidate_is_what_activate_means_and_ends_with_it() {
    let case = Case::new();
    case.book.shadow_start(case.other("next", THIRD)).await.unwrap();
    case.other("next", ADMINS);
    let Outcome::Refused { faults, .. } = case.book.activate(None).await else {
        panic!("nobody has seen what it does")
    };
    assert!(faults[0].file.ends_with("next") && faults[0].text.contains("something else"), "{faults:?}");
    case.book.reload_candidate();
    assert_eq!(case.book.activate(None).await, Outcome::Loaded { generation: 2 });
    assert!(may(&case.book, Action::ManageImageCache));
    assert!(case.book.candidate().is_none() && case.book.shadow().is_none());
}

#[tokio::test]
async fn activation_puts_a_broken_folder_right_and_rollback_passes_over_broken_ones() {
    let case = Case::new();
    case.write("permit (");
    assert!(matches!(case.book.reload("test", Removals::Accepted).await, Outcome::Refused { generation: 1, .. }));
    assert_eq!(case.book.activate(Some(case.other("same", READERS))).await, Outcome::Unchanged { generation: 1 });
    assert!(case.book.status().faults.is_empty());
    assert_eq!(case.book.activate(Some(case.other("next", ADMINS))).await, Outcome::Loaded { generation: 2 });
    assert_eq!(text(&case.kept("000001")), "permit (");
    fs::write(case.kept("000002").join("b.cedar"), "permit (").unwrap();
    let Outcome::Refused { faults, .. } = case.book.rollback().await else { panic!("both are broken") };
    assert_eq!(faults.len(), 2);
    fs::remove_file(case.kept("000002").join("b.cedar")).unwrap();
    assert_eq!(case.book.rollback().await, Outcome::Loaded { generation: 3 });
    assert_eq!(case.holds(), READERS);
}

#[tokio::test]
async fn ten_previous_contents_are_kept() {
    let case = Case::new();
    for i in 2..15_u64 {
        let next = case.other("next", &READERS.replace("readers", &format!("readers-{i}")));
        assert_eq!(case.book.activate(Some(next)).await, Outcome::Loaded { generation: i });
    }
    let mut kept: Vec<_> = fs::read_dir(case.kept("")).unwrap().map(|e| e.unwrap().file_name()).collect();
    kept.sort();
    assert_eq!(kept, (4..=13).map(|n| format!("{n:06}").into()).collect::<Vec<std::ffi::OsString>>());
}

#[tokio::test]
async fn a_link_is_followed() {
    let case = Case::new();
    let real = case.folder.path().join("real");
    fs::rename(case.policies(), &real).unwrap();
    std::os::unix::fs::symlink(&real, case.policies()).unwrap();
    assert_eq!(case.book.activate(Some(case.other("next", ADMINS))).await, Outcome::Loaded { generation: 2 });
    assert!(case.policies().is_symlink());
    assert_eq!(text(&real), ADMINS);
    assert_eq!(text(&case.folder.path().join("real.previous/000001")), READERS);
}

/// What a kill can leave in `policies.previous`, and what the next step makes of it.
#[test]
fn what_a_crash_leaves_is_put_in_order() {
    let digest_of = |folder: &Path| {
        let files = read_policies(folder).unwrap();
        digest(&files)
    };
    let case = Case::new();
    let (next, previous) = (case.other("next", ADMINS), case.other("previous", THIRD));
    let (next_digest, previous_digest) = (digest_of(&next), digest_of(&previous));
    let kept = |name: &str| case.kept(name);
    let leave = |folder: &Path, name: &str| {
        fs::create_dir_all(kept(name)).unwrap();
        fs::copy(folder.join("a.cedar"), kept(name).join("a.cedar")).unwrap();
    };

    // While the new content is written: half of it is nothing.
    fs::create_dir_all(kept(".new")).unwrap();
    fs::write(kept(".new").join("a.cedar"), "permi").unwrap();
    // Before the exchange of an activation.
    leave(&next, &format!(".next-{next_digest}"));
    assert_eq!(History::open(&case.policies()).unwrap().previous().unwrap(), Vec::<PathBuf>::new());
    assert!(!kept(".new").exists() && !kept(&format!(".next-{next_digest}")).exists());

    // After it: what was exchanged is previous content.
    leave(&previous, &format!(".next-{next_digest}"));
    assert_eq!(History::open(&case.policies()).unwrap().previous().unwrap(), [kept("000001").canonicalize().unwrap()]);
    assert_eq!(text(&kept("000001")), THIRD);

    // Before the exchange of a rollback: it is previous content still.
    fs::rename(kept("000001"), kept(&format!(".back-{previous_digest}"))).unwrap();
    assert_eq!(History::open(&case.policies()).unwrap().previous().unwrap().len(), 1);
    assert_eq!(text(&kept("000001")), THIRD);

    // After it: what was exchanged is undone.
    fs::rename(kept("000001"), kept(&format!(".back-{next_digest}"))).unwrap();
    assert!(History::open(&case.policies()).unwrap().previous().unwrap().is_empty());
    assert_eq!(text(&kept("undone")), THIRD);
    assert_eq!(case.holds(), READERS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_watcher_makes_no_second_generation_of_an_activation() {
    let case = Case::new();
    let watch = tokio::spawn(case.book.clone().watch());
    tokio::time::sleep(Duration::from_millis(200)).await;
    case.book.activate(Some(case.other("next", ADMINS))).await;
    case.book.rollback().await;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(case.book.status().generation, 3);
    case.write(&format!("{READERS}{THIRD}"));
    wait_for(&case.book, 4).await;
    watch.abort();
}
