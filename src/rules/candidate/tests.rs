//! A candidate is followed as the rules in force are, and never takes their place by itself.

use std::{fs, time::Duration};

use super::*;
use crate::{
    authz::Action,
    rules::tests::{ADMINS, Case, READERS, may, rules},
};

impl Case {
    fn candidate(&self, text: &str) -> PathBuf {
        let folder = self.folder.path().join("candidate");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("a.cedar"), text).unwrap();
        folder
    }
}

fn differing(book: &Rulebook) -> u64 {
    book.candidate().and_then(|c| c.report).map_or(0, |report| report.differing)
}

#[tokio::test]
async fn a_candidate_is_asked_and_not_obeyed_until_it_is_stopped() {
    let case = Case::new();
    let status = case.book.shadow_start(case.candidate(ADMINS)).await.unwrap();
    assert!(status.digest.is_some() && status.since.is_some() && status.faults.is_empty());
    assert!(may(&case.book, Action::GetImages));
    assert_eq!(differing(&case.book), 1);
    assert!(case.book.shadow_stop() && !case.book.shadow_stop());
    assert!(may(&case.book, Action::GetImages));
    assert!(case.book.candidate().is_none());
    assert_eq!(case.book.status().generation, 1);
}

#[tokio::test]
async fn a_wrong_candidate_takes_no_ones_place() {
    let case = Case::new();
    case.book.shadow_start(case.candidate(ADMINS)).await.unwrap();
    let wrong = case.folder.path().join("wrong");
    assert_eq!(case.book.shadow_start(wrong.clone()).await.unwrap_err().len(), 1);
    fs::create_dir(&wrong).unwrap();
    fs::write(wrong.join("b.cedar"), "\npermit (").unwrap();
    let faults = case.book.shadow_start(wrong).await.unwrap_err();
    assert_eq!((faults[0].file.as_str(), faults[0].line), ("b.cedar", Some(2)));
    assert!(case.book.candidate().unwrap().folder.ends_with("candidate"));
    may(&case.book, Action::GetImages);
    assert_eq!(differing(&case.book), 1, "the good one is asked on");
}

#[tokio::test]
async fn new_content_is_asked_from_then_on_and_bad_content_is_not() {
    let case = Case::new();
    case.book.shadow_start(case.candidate(ADMINS)).await.unwrap();
    may(&case.book, Action::GetImages);
    case.candidate("permit (");
    case.book.reload_candidate();
    let status = case.book.candidate().unwrap();
    assert!(status.refused_since.is_some() && status.faults[0].file == "a.cedar", "{status:?}");
    may(&case.book, Action::GetImages);
    assert_eq!(differing(&case.book), 2, "the last good content is asked on");
    case.candidate(READERS);
    case.book.reload_candidate();
    assert!(case.book.candidate().unwrap().faults.is_empty());
    assert_eq!(differing(&case.book), 0, "what was found was found about other policies");
    may(&case.book, Action::GetImages);
    assert_eq!(differing(&case.book), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configured_candidate_may_come_later_and_is_watched() {
    let case = Case::new();
    let folder = case.folder.path().join("candidate");
    let cfg = crate::config::Rules { candidate: Some(folder), ..rules(&case.folder) };
    let book = Rulebook::open(&cfg, case.folder.path()).unwrap();
    let status = book.candidate().unwrap();
    assert!(status.digest.is_none() && status.faults.len() == 1 && book.shadow().is_none());
    let watch = tokio::spawn(book.clone().watch());
    case.candidate(ADMINS);
    for text in [ADMINS, READERS] {
        case.candidate(text);
        let expected = digest(&read_policies(&case.folder.path().join("candidate")).unwrap());
        for _ in 0..150 {
            if book.candidate().unwrap().digest.as_deref() == Some(&expected) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let status = book.candidate().unwrap();
        assert_eq!((status.digest.as_deref(), status.faults.len()), (Some(expected.as_str()), 0));
    }
    assert_eq!(book.status().generation, 1);
    watch.abort();
}
