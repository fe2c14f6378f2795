//! The policies folder with its previous contents beside it, and the one step that exchanges them.
//!
//! Everything is prepared under `<folder>.previous` and then exchanged with the folder by one call of the system: the
//! folder holds the old content or the new one, whole, at any moment. What a crash leaves behind says by its name what
//! it is, so that the next step puts it in order: `.next-<digest>` holds what is to be activated or, when its digest is
//! another one, what was exchanged for it; `.back-<digest>` the same for a rollback.

use std::{
    fs::{self, File},
    io::{Error, Result},
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::folder::{digest, read_policies};

/// Previous contents that are kept.
const KEPT: usize = 10;
const NEW: &str = ".new";
const NEXT: &str = ".next-";
const BACK: &str = ".back-";
/// What the last rollback took out of force.
const UNDONE: &str = "undone";

/// A policies folder and what it held before. One at a time, across processes, for as long as this lives.
pub(super) struct History {
    folder: PathBuf,
    kept: PathBuf,
    _turn: File,
}

impl History {
    /// Waits for its turn and puts in order what a crash has left.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        // A link is followed: what it points to is exchanged, not the link.
        let folder = folder.canonicalize()?;
        let mut kept = folder.clone().into_os_string();
        kept.push(".previous");
        let kept = PathBuf::from(kept);
        fs::create_dir_all(&kept)?;
        let turn = File::open(&kept)?;
        turn.lock()?;
        let history = Self { folder, kept, _turn: turn };
        history.tidy()?;
        Ok(history)
    }

    /// What the folder held before, the latest first.
    pub(super) fn previous(&self) -> Result<Vec<PathBuf>> {
        Ok(self.numbered()?.into_iter().rev().map(|number| self.at(number)).collect())
    }

    /// Puts `files` into the folder and keeps what it held, whole, as the latest previous content.
    pub(super) fn activate(&self, files: &[(String, Vec<u8>)]) -> Result<()> {
        if content(&self.folder).is_ok_and(|now| now == digest(files)) {
            return Ok(());
        }
        let new = self.kept.join(NEW);
        fs::create_dir(&new)?;
        fs::set_permissions(&new, fs::metadata(&self.folder)?.permissions())?;
        for (name, bytes) in files {
            fs::write(new.join(name), bytes)?;
            File::open(new.join(name))?.sync_all()?;
        }
        File::open(&new)?.sync_all()?;
        let next = self.kept.join(format!("{NEXT}{}", digest(files)));
        fs::rename(new, &next)?;
        self.exchange(&next)
    }

    /// Puts one of the previous contents back into the folder, and what it held aside.
    pub(super) fn back_to(&self, previous: &Path) -> Result<()> {
        let back = self.kept.join(format!("{BACK}{}", content(previous)?));
        fs::rename(previous, &back)?;
        self.exchange(&back)
    }

    fn exchange(&self, staged: &Path) -> Result<()> {
        let exchanged = renameat_with(CWD, staged, CWD, &self.folder, RenameFlags::EXCHANGE).map_err(Error::from);
        // Durable before what was there is given its new name; when it failed, the staged content goes where it was.
        let durable = self.folder.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all());
        self.tidy()?;
        exchanged.and(durable)
    }

    fn tidy(&self) -> Result<()> {
        for entry in fs::read_dir(&self.kept)? {
            let entry = entry?;
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            if name == NEW {
                fs::remove_dir_all(&path)?;
            } else if let Some(staged) = name.strip_prefix(NEXT) {
                if content(&path)? == staged {
                    fs::remove_dir_all(&path)?;
                } else {
                    fs::rename(&path, self.at(self.after_last()?))?;
                }
            } else if let Some(staged) = name.strip_prefix(BACK) {
                if content(&path)? == staged {
                    fs::rename(&path, self.at(self.after_last()?))?;
                } else {
                    self.put_aside(&path)?;
                }
            }
        }
        let numbers = self.numbered()?;
        let surplus = numbers.len().saturating_sub(KEPT);
        for number in numbers.into_iter().take(surplus) {
            fs::remove_dir_all(self.at(number))?;
        }
        File::open(&self.kept)?.sync_all()
    }

    fn put_aside(&self, path: &Path) -> Result<()> {
        let undone = self.kept.join(UNDONE);
        if undone.exists() {
            fs::remove_dir_all(&undone)?;
        }
        fs::rename(path, undone)
    }

    fn numbered(&self) -> Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.kept)? {
            numbers.extend(entry?.file_name().to_str().and_then(|name| name.parse::<u64>().ok()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn after_last(&self) -> Result<u64> {
        Ok(self.numbered()?.last().map_or(1, |last| last + 1))
    }

    fn at(&self, number: u64) -> PathBuf {
        self.kept.join(format!("{number:06}"))
    }
}

/// Digest of the policies in a folder.
fn content(folder: &Path) -> Result<String> {
    read_policies(folder).map(|files| digest(&files)).map_err(|fault| Error::other(fault.to_string()))
}
