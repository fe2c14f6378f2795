//! Names and URLs of the file store. A URL is the folder's own prefix and one plain name: nothing in it is decoded,
//! so nothing in it can lead out of the folder.

use std::path::{Component, Path, PathBuf};

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::store::{StoreError, StoreErrorKind};

/// What a folder's path must not hold as it is in a URL.
const PATH: &AsciiSet = &CONTROLS.add(b' ').add(b'%').add(b'?').add(b'#').add(b'"').add(b'<').add(b'>').add(b'\\');
const PARTIAL: &str = ".partial";
/// The longest file name of usual file systems, less the marks of partial data.
const NAME_MAX: usize = 255 - ".".len() - PARTIAL.len();

/// The folder of a store and the URLs below it.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    root: PathBuf,
    /// `file:///folder/`, as we write it.
    prefix: String,
    /// The same without percent-encoding, as glance_store writes it.
    plain_prefix: String,
}

impl Layout {
    pub fn new(root: &Path) -> Result<Self, StoreError> {
        let bad =
            |why: &str| StoreError::permanent(StoreErrorKind::BadUrl, format!("the folder `{}` {why}", root.display()));
        let root = std::path::absolute(root).map_err(|_| bad("has no absolute path"))?;
        if root.components().any(|c| c == Component::ParentDir) {
            return Err(bad("must not hold `..`"));
        }
        let text = root.to_str().ok_or_else(|| bad("is not UTF-8"))?.trim_end_matches('/');
        if text.is_empty() {
            return Err(bad("must not be the root of the file system"));
        }
        let prefix = format!("file://{}/", utf8_percent_encode(text, PATH));
        let plain_prefix = format!("file://{text}/");
        Ok(Self { root: PathBuf::from(text), prefix, plain_prefix })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn url(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The name in a URL of this store.
    pub fn name_of<'a>(&self, url: &'a str) -> Result<&'a str, StoreError> {
        let name = url.strip_prefix(&self.prefix).or_else(|| url.strip_prefix(&self.plain_prefix));
        match name {
            Some(name) if valid(name) => Ok(name),
            _ => Err(StoreError::permanent(StoreErrorKind::BadUrl, "the location is not one of this store")),
        }
    }

    pub fn object(&self, name: &str) -> Result<PathBuf, StoreError> {
        check(name)?;
        Ok(self.root.join(name))
    }

    pub fn partial(&self, name: &str) -> Result<PathBuf, StoreError> {
        check(name)?;
        Ok(self.root.join(format!(".{name}{PARTIAL}")))
    }
}

/// What a file in the folder is to us: an object's name, and whether it is partial. `None`: not ours.
pub(super) fn parse(file_name: &str) -> Option<(&str, bool)> {
    match file_name.strip_prefix('.') {
        Some(hidden) => hidden.strip_suffix(PARTIAL).filter(|n| valid(n)).map(|n| (n, true)),
        None => Some((file_name, false)).filter(|(n, _)| valid(n)),
    }
}

fn check(name: &str) -> Result<(), StoreError> {
    if valid(name) {
        Ok(())
    } else {
        Err(StoreError::permanent(StoreErrorKind::BadUrl, "the object's name is not valid"))
    }
}

fn valid(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    !name.is_empty() && name.len() <= NAME_MAX && !name.starts_with('.') && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_stay_in_the_folder() {
        let layout = Layout::new(Path::new("/srv/images")).expect("absolute");
        assert_eq!(layout.name_of("file:///srv/images/a-1").expect("ours"), "a-1");
        let bad = [
            "file:///srv/images/../images/a",
            "file:///srv/images/..",
            "file:///srv/images/%2e%2e/passwd",
            "file:///srv/images/%2e%2e",
            "file:///srv/images/",
            "file:///srv/images",
            "file:///srv/images/a/b",
            "file:///srv/images/.a.partial",
            "file:///srv/images/a%00",
            "file:///srv/images/a?x",
            "file:///srv/images2/a",
            "file:///etc/passwd",
            "file://host/srv/images/a",
            "FILE:///srv/images/a",
            "filesystem:///srv/images/a",
            "http://srv/images/a",
            "/srv/images/a",
            "a",
            "",
        ];
        for url in bad {
            assert_eq!(layout.name_of(url).expect_err(url).kind, StoreErrorKind::BadUrl, "{url}");
        }
    }

    #[test]
    fn a_folder_with_spaces_reads_both_forms() {
        let layout = Layout::new(Path::new("/srv/my images/50%/")).expect("absolute");
        assert_eq!(layout.url("a"), "file:///srv/my%20images/50%25/a");
        assert_eq!(layout.name_of(&layout.url("a")).expect("ours"), "a");
        assert_eq!(layout.name_of("file:///srv/my images/50%/a").expect("as glance_store writes it"), "a");
    }

    #[test]
    fn folders_that_lead_elsewhere_are_refused() {
        assert!(Layout::new(Path::new("/srv/../etc")).is_err());
        assert!(Layout::new(Path::new("/")).is_err());
        assert!(Layout::new(Path::new("")).is_err());
    }

    #[test]
    fn partial_names_are_recognised() {
        assert_eq!(parse("abc"), Some(("abc", false)));
        assert_eq!(parse(".abc.partial"), Some(("abc", true)));
        for other in [".abc", ".partial", "..partial", "a b", "", ".", "..", "lost+found"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
