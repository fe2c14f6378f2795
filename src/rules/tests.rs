//! Folders that change while the service runs.

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use notify::{
    EventKind, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};

use super::*;
use crate::{
    authz::{self, Action, Resource},
    config,
    context::{Caller, Context},
};

pub(super) const READERS: &str = "@id(\"readers\")\npermit (principal, action == Action::\"get_images\", resource)\nwhen { principal.roles.contains(\"reader\") };\n";
pub(super) const ADMINS: &str = "@id(\"admins\")\npermit (principal, action == Action::\"manage_image_cache\", resource)\nwhen { principal.roles.contains(\"reader\") };\n";

/// A book over folders of its own, with one policy and no plug-in.
pub(super) struct Case {
    pub(super) book: Arc<Rulebook>,
    pub(super) folder: tempfile::TempDir,
}

impl Case {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("policies")).unwrap();
        fs::create_dir(folder.path().join("plugins")).unwrap();
        fs::write(folder.path().join("policies/a.cedar"), READERS).unwrap();
        let book = Rulebook::open(&rules(&folder), folder.path()).unwrap();
        Self { book, folder }
    }

    pub(super) fn file(&self) -> PathBuf {
        self.folder.path().join("policies/a.cedar")
    }

    pub(super) fn write(&self, text: &str) {
        fs::write(self.file(), text).unwrap();
    }

    /// The old rules serve, and the status says since when and why.
    #[track_caller]
    fn assert_refused(&self, outcome: &Outcome, file: &str, line: Option<usize>) {
        assert!(matches!(outcome, Outcome::Refused { generation: 1, .. }), "{outcome:?}");
        let status = self.book.status();
        assert_eq!((status.generation, status.policies), (1, vec!["readers".to_owned()]));
        assert!(status.refused_since.is_some());
        let fault = &status.faults[0];
        assert!(fault.file.ends_with(file) && fault.line == line && !fault.text.is_empty(), "{fault:?}");
        assert!(may(&self.book, Action::GetImages));
    }
}

pub(super) fn rules(folder: &tempfile::TempDir) -> config::Rules {
    config::Rules {
        policies: Some(folder.path().join("policies")),
        plugins: Some(folder.path().join("plugins")),
        debounce_ms: 20,
        poll_s: 1,
        ..config::Rules::default()
    }
}

pub(super) fn may(book: &Rulebook, action: Action) -> bool {
    authz::allows(&context(book), action, Resource::Service).unwrap()
}

fn context(book: &Rulebook) -> Context {
    let caller = Caller { roles: ["reader".to_owned()].into(), ..Caller::default() };
    Context {
        request_id: "req-test".into(),
        caller,
        rules: book.current(),
        shadow: book.shadow(),
        journal: Arc::default(),
    }
}

#[tokio::test]
async fn good_content_becomes_the_next_generation() {
    let case = Case::new();
    assert_eq!(case.book.reload("test", Removals::Accepted).await, Outcome::Unchanged { generation: 1 });
    case.write(ADMINS);
    let before = context(&case.book);
    assert_eq!(case.book.reload("test", Removals::Accepted).await, Outcome::Loaded { generation: 2 });
    assert!(may(&case.book, Action::ManageImageCache) && !may(&case.book, Action::GetImages));
    assert!(authz::allows(&before, Action::GetImages, Resource::Service).unwrap(), "a request keeps its generation");
}

#[tokio::test]
async fn what_is_wrong_is_refused_and_the_old_rules_serve() {
    let case = Case::new();
    case.write(READERS.get(..READERS.len() / 2).unwrap());
    let since = {
        case.assert_refused(&case.book.reload("test", Removals::Accepted).await, "a.cedar", Some(2));
        case.book.status().refused_since
    };
    case.write("@id(\"x\")\npermit (principal action, resource);");
    case.assert_refused(&case.book.reload("test", Removals::Accepted).await, "a.cedar", Some(2));
    case.write("@id(\"x\")\npermit (principal, action, resource)\nwhen { principal.roles == 1 };");
    case.assert_refused(&case.book.reload("test", Removals::Accepted).await, "a.cedar", Some(3));
    fs::write(case.folder.path().join("policies/b.cedar"), READERS).unwrap();
    case.write(READERS);
    case.assert_refused(&case.book.reload("test", Removals::Accepted).await, "b.cedar", Some(1));
    assert_eq!(case.book.status().refused_since, since, "wrong ever since the first refusal");
    fs::remove_file(case.folder.path().join("policies/b.cedar")).unwrap();
    case.write(ADMINS);
    assert_eq!(case.book.reload("test", Removals::Accepted).await, Outcome::Loaded { generation: 2 });
    let status = case.book.status();
    assert!(status.faults.is_empty() && status.refused_since.is_none());
}

#[tokio::test]
async fn an_emptied_or_deleted_folder_is_no_new_ruleset() {
    let case = Case::new();
    fs::remove_file(case.file()).unwrap();
    case.assert_refused(&case.book.reload("test", Removals::Accepted).await, "*.cedar", None);
    fs::remove_dir(case.folder.path().join("policies")).unwrap();
    case.assert_refused(&case.book.reload("test", Removals::Accepted).await, "policies", None);
    fs::create_dir(case.folder.path().join("policies")).unwrap();
    case.write(READERS);
    assert_eq!(case.book.reload("test", Removals::Accepted).await, Outcome::Unchanged { generation: 1 });
    assert!(case.book.status().faults.is_empty(), "the folders hold again what is in force");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_policy_vanishes_but_by_the_operators_word() {
    const FORBID: &str = "@id(\"forbid\")\nforbid (principal, action == Action::\"manage_image_cache\", resource);\n";
    let case = Case::new();
    let more = case.folder.path().join("policies/more.cedar");
    fs::write(&more, format!("{ADMINS}{FORBID}")).unwrap();
    assert_eq!(case.book.reload("test", Removals::Refused).await, Outcome::Loaded { generation: 2 });
    let watch = tokio::spawn(case.book.clone().watch());
    tokio::time::sleep(Duration::from_millis(200)).await;
    // Cut off between two policies: valid by itself.
    fs::write(&more, ADMINS).unwrap();
    wait_for_fault(&case.book, "more.cedar", "no longer holds `forbid`").await;
    assert!(!may(&case.book, Action::ManageImageCache), "what was forbidden is forbidden");
    fs::remove_file(&more).unwrap();
    wait_for_fault(&case.book, "more.cedar", "the file is gone, and `admins`, `forbid` with it").await;
    let refused = case.book.reload("test", Removals::Refused).await;
    assert!(matches!(refused, Outcome::Refused { generation: 2, .. }), "{refused:?}");
    // Elsewhere is not gone.
    case.write(&format!("{READERS}{ADMINS}{FORBID}"));
    wait_for(&case.book, 3).await;
    assert!(case.book.status().faults.is_empty());
    case.write(&format!("{READERS}{ADMINS}"));
    wait_for_fault(&case.book, "a.cedar", "no longer holds `forbid`").await;
    assert_eq!(case.book.reload("test", Removals::Accepted).await, Outcome::Loaded { generation: 4 });
    assert!(may(&case.book, Action::ManageImageCache) && case.book.status().faults.is_empty());
    watch.abort();
}

async fn wait_for_fault(book: &Rulebook, file: &str, text: &str) {
    for _ in 0..100 {
        if book.status().faults.iter().any(|f| f.file == file && f.text.contains(text)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no fault says `{text}` of {file}: {:?}", book.status());
}

#[tokio::test]
async fn a_broken_plug_in_holds_good_policies_back() {
    let case = Case::new();
    fs::write(case.folder.path().join("plugins/p.toml"), "not = [toml").unwrap();
    case.write(ADMINS);
    case.assert_refused(
        &case.book.reload("test", Removals::Accepted).await,
        "p.toml",
        case.book.status().faults.first().and_then(|f| f.line),
    );
    assert!(!may(&case.book, Action::ManageImageCache));
}

#[test]
fn nothing_good_at_the_start_is_no_start() {
    let folder = tempfile::tempdir().unwrap();
    let error = Rulebook::open(&rules(&folder), folder.path()).err().unwrap();
    assert!(error.message().contains("policies"), "{error}");
    fs::create_dir(folder.path().join("policies")).unwrap();
    fs::create_dir(folder.path().join("plugins")).unwrap();
    fs::write(folder.path().join("policies/a.cedar"), "\npermit").unwrap();
    let error = Rulebook::open(&rules(&folder), folder.path()).err().unwrap();
    assert!(error.message().contains("a.cedar:2"), "{error}");
}

#[test]
fn the_first_start_writes_the_shipped_rules_and_later_ones_leave_them() {
    let folder = tempfile::tempdir().unwrap();
    let cfg = config::Rules::default();
    let first = Rulebook::open(&cfg, folder.path()).unwrap();
    assert!(first.status().policies.iter().any(|id| id == "admin"));
    let file = folder.path().join("policies/stores.cedar");
    fs::write(&file, ADMINS).unwrap();
    let second = Rulebook::open(&cfg, folder.path()).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), ADMINS);
    assert!(second.status().policies.iter().any(|id| id == "admins"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_file_is_noticed_and_a_quiet_folder_is_left_alone() {
    let case = Case::new();
    let watch = tokio::spawn(case.book.clone().watch());
    tokio::time::sleep(Duration::from_millis(200)).await;
    case.write(&format!("{READERS}{ADMINS}"));
    wait_for(&case.book, 2).await;
    fs::remove_dir_all(case.folder.path().join("policies")).unwrap();
    for _ in 0..100 {
        if !case.book.status().faults.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(!case.book.status().faults.is_empty());
    fs::create_dir(case.folder.path().join("policies")).unwrap();
    case.write(&format!("{READERS}{ADMINS}// more\n"));
    wait_for(&case.book, 3).await;
    let looks = Arc::new(AtomicU64::new(0));
    let counted = looks.clone();
    let mut eye = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let opened = event.is_ok_and(|e| e.kind == EventKind::Access(AccessKind::Open(AccessMode::Any)));
        counted.fetch_add(u64::from(opened), Ordering::Relaxed);
    })
    .unwrap();
    eye.watch(&case.file(), RecursiveMode::NonRecursive).unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let looks = looks.load(Ordering::Relaxed);
    assert!((1..=8).contains(&looks), "{looks} looks in three polls at a file that nobody touched");
    watch.abort();
}

pub(super) async fn wait_for(book: &Rulebook, generation: u64) {
    for _ in 0..150 {
        if book.status().generation == generation {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("generation {generation} never came: {:?}", book.status());
}

#[test]
fn swaps_under_load_never_fail_a_decision_nor_mix_two_generations() {
    let case = Case::new();
    let (done, decisions) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let ctx = context(&case.book);
                    let odd = ctx.rules.generation % 2 == 1;
                    let ask = |action| authz::allows(&ctx, action, Resource::Service).unwrap();
                    assert_eq!((ask(Action::GetImages), ask(Action::ManageImageCache)), (odd, !odd));
                    decisions.fetch_add(2, Ordering::Relaxed);
                }
            });
        }
        for i in 0..2_000_u64 {
            case.write(if i % 2 == 0 { ADMINS } else { READERS });
            assert_eq!(case.book.reload_now("test", Removals::Accepted), Outcome::Loaded { generation: i + 2 });
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(decisions.load(Ordering::Relaxed) > 10_000);
}
