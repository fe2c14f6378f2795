//! The two folders as bytes: read once, hashed, and everything after works on those bytes alone.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::{Fault, Ruleset};
use crate::{
    authz::{CLASSES_FILE, Policies},
    config,
    wasm::{Engine, Plugins},
};

const MAX_FILES: usize = 1_000;
const MAX_POLICY: u64 = 1024 * 1024;
const MAX_PLUGIN: u64 = 64 * 1024 * 1024;
const MAX_TOTAL: u64 = 512 * 1024 * 1024;

/// Where rules lie.
#[derive(Debug, Clone)]
pub(super) struct Folders {
    pub(super) policies: PathBuf,
    pub(super) plugins: PathBuf,
}

/// One reading of the folders, each as (file name, content), sorted by name.
pub(super) struct Files {
    pub(super) policies: Vec<(String, Vec<u8>)>,
    pub(super) plugins: Vec<(String, Vec<u8>)>,
}

impl Folders {
    pub(super) fn of(cfg: &config::Rules, data_dir: &Path) -> Self {
        Self {
            policies: cfg.policies.clone().unwrap_or_else(|| data_dir.join("policies")),
            plugins: cfg.plugins.clone().unwrap_or_else(|| data_dir.join("plugins")),
        }
    }

    pub(super) fn read(&self) -> Result<Files, Vec<Fault>> {
        self.read_with(read_policies(&self.policies))
    }

    /// The plug-ins of the folder, beside policies that were read elsewhere.
    pub(super) fn read_with(&self, policies: Result<Vec<(String, Vec<u8>)>, Fault>) -> Result<Files, Vec<Fault>> {
        let plugins = read(&self.plugins, |name| has_ending(name, &["toml", "wasm"]), MAX_PLUGIN);
        match (policies, plugins) {
            (Ok(policies), Ok(plugins)) => Ok(Files { policies, plugins }),
            (a, b) => Err(a.err().into_iter().chain(b.err()).collect()),
        }
    }
}

/// The files of a folder of policies, as (file name, content), sorted by name.
pub(super) fn read_policies(folder: &Path) -> Result<Vec<(String, Vec<u8>)>, Fault> {
    read(folder, |name| decides(name) || has_ending(name, &["cedarschema"]), MAX_POLICY)
}

/// Those of them that decide.
pub(super) fn deciding(files: &[(String, Vec<u8>)]) -> Vec<(String, Vec<u8>)> {
    files.iter().filter(|(name, _)| decides(name)).cloned().collect()
}

/// Policies, and the classes of properties that they speak of; the schema is there to be read.
fn decides(name: &str) -> bool {
    has_ending(name, &["cedar"]) || name == CLASSES_FILE
}

/// The files of a folder of policies that decide, as (name, content), sorted by name.
///
/// # Errors
/// As [`read_files`].
pub fn read_deciding(folder: &Path) -> Result<Vec<(String, Vec<u8>)>, Fault> {
    read(folder, decides, MAX_POLICY)
}

/// sha256 over names, lengths and contents, hex.
pub(super) fn digest(files: &[(String, Vec<u8>)]) -> String {
    let mut hash = Sha256::new();
    add(&mut hash, "policies", files);
    data_encoding::HEXLOWER.encode(&hash.finalize())
}

fn add(hash: &mut Sha256, folder: &str, files: &[(String, Vec<u8>)]) {
    for (name, bytes) in files {
        hash.update(format!("{folder}/{name}\0{}\0", bytes.len()));
        hash.update(bytes);
    }
}

impl Files {
    /// sha256 over names, lengths and contents, hex.
    pub(super) fn digest(&self) -> String {
        let mut hash = Sha256::new();
        add(&mut hash, "policies", &self.policies);
        add(&mut hash, "plugins", &self.plugins);
        data_encoding::HEXLOWER.encode(&hash.finalize())
    }

    /// Everything that can be found out before it serves; plug-ins that did not change are taken from `before`. Slow:
    /// not for the request path.
    pub(super) fn check(&self, generation: u64, engine: &Engine, before: &Plugins) -> Result<Ruleset, Vec<Fault>> {
        let (policies, plugins) =
            match (Policies::load(&deciding(&self.policies)), before.reload(&self.plugins, engine)) {
                (Ok(policies), Ok(plugins)) => (policies, plugins),
                (a, b) => return Err(a.err().into_iter().chain(b.err()).flatten().collect()),
            };
        Ok(Ruleset { generation, policies, plugins, digest: self.digest(), loaded_at: Timestamp::now() })
    }
}

fn has_ending(name: &str, endings: &[&str]) -> bool {
    Path::new(name).extension().is_some_and(|e| endings.iter().any(|x| e == *x))
}

/// The files of `folder` with one of these endings, as (name, content), sorted by name.
///
/// # Errors
/// When the folder cannot be read, or holds more than policies can be.
pub fn read_files(folder: &Path, endings: &[&str]) -> Result<Vec<(String, Vec<u8>)>, Fault> {
    read(folder, |name| has_ending(name, endings), MAX_POLICY)
}

/// Names with a leading dot are passed over: editors and Kubernetes keep half-made things under them.
fn read(folder: &Path, wanted: impl Fn(&str) -> bool, max: u64) -> Result<Vec<(String, Vec<u8>)>, Fault> {
    let at = |path: &Path, text: String| Fault::new(path.display().to_string(), None, text);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(|e| at(folder, e.to_string()))? {
        let name = entry.map_err(|e| at(folder, e.to_string()))?.file_name();
        let Some(name) = name.to_str().filter(|n| !n.starts_with('.') && wanted(n)) else { continue };
        names.push(name.to_owned());
        if names.len() > MAX_FILES {
            return Err(at(folder, format!("more than {MAX_FILES} files")));
        }
    }
    names.sort();
    let mut total = 0;
    let mut files = Vec::with_capacity(names.len());
    for name in names {
        let path = folder.join(&name);
        let mut bytes = Vec::new();
        let file = fs::File::open(&path).map_err(|e| at(&path, e.to_string()))?;
        file.take(max + 1).read_to_end(&mut bytes).map_err(|e| at(&path, e.to_string()))?;
        total += bytes.len() as u64;
        if bytes.len() as u64 > max || total > MAX_TOTAL {
            return Err(at(&path, format!("larger than {max} bytes, or {MAX_TOTAL} bytes in all")));
        }
        files.push((name, bytes));
    }
    Ok(files)
}

/// Writes the shipped rules into a folder that does not exist yet; an existing one is the operator's.
pub(super) fn seed(folder: &Path, files: &[(String, Vec<u8>)]) -> std::io::Result<()> {
    if folder.exists() {
        return Ok(());
    }
    // Into a folder beside it first: a start that is cut off leaves no half of the rules in force.
    let mut name = folder.as_os_str().to_owned();
    name.push(".new");
    let fresh = PathBuf::from(name);
    fs::create_dir_all(&fresh)?;
    for (name, bytes) in files {
        let path = fresh.join(name);
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(path, bytes)?;
    }
    fs::rename(fresh, folder)
}
