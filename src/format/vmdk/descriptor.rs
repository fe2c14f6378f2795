//! The descriptor in a VMDK: text that names the type, the extents and the parent.

const ACCESS: [&str; 3] = ["rw", "rdonly", "noaccess"];
/// Types whose data lie in the file itself.
const SPARSE: [&str; 2] = ["monolithicsparse", "streamoptimized"];
/// What names the type.
const KEY: &[u8] = b"createtype=\"";
/// The longest `createType` that is looked at.
const TYPE_MAX: usize = 64;
/// What `parentCID` is when there is no parent.
const NO_PARENT: &str = "ffffffff";

/// Whether a stream that begins so may be a descriptor on its own: plain text, or what emulators take for one.
pub(super) fn may_begin(start: &[u8]) -> bool {
    let printable = |b: &u8| (b' '..=b'~').contains(b) || b.is_ascii_whitespace() || *b == 0x0b;
    !start.is_empty() && (start.iter().all(printable) || probed(start))
}

/// Whether a text is one: emulators would open it, or it has a `createType`.
pub(super) fn is_descriptor(begin: &[u8], rest: &[u8]) -> bool {
    let across: Vec<u8> =
        begin.iter().rev().take(KEY.len()).rev().chain(rest.iter().take(KEY.len())).copied().collect();
    let has_key = |text: &[u8]| text.windows(KEY.len()).any(|w| w.eq_ignore_ascii_case(KEY));
    probed(begin) || has_key(begin) || has_key(&across) || has_key(rest)
}

/// How emulators recognise one: comments and blank lines, then a version of 1 to 3.
fn probed(text: &[u8]) -> bool {
    let mut lines = text.split(|b| *b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let first = lines.find(|line| !line.starts_with(b"#") && !line.iter().all(|b| *b == b' '));
    first.is_some_and(|line| matches!(line, b"version=1" | b"version=2" | b"version=3"))
}

/// What is unsafe about the descriptor of a sparse file.
pub(super) fn violation(data: &[u8], allowed: &[String]) -> Option<String> {
    let data = data.split(|b| *b == 0).next().unwrap_or_default();
    if !data.is_ascii() {
        return Some("its descriptor is not ASCII".to_owned());
    }
    let text = lower(data);
    let Some(kind) = create_type(&text) else {
        return Some("its descriptor has no `createType`".to_owned());
    };
    if !allowed.iter().any(|a| a == kind) {
        return Some(format!("its `createType` `{}` is not allowed", kind.escape_debug()));
    }
    lines_violation(&text, SPARSE.contains(&kind)).map(str::to_owned)
}

fn lines_violation(text: &str, sparse: bool) -> Option<&'static str> {
    let mut extents = 0_u32;
    for line in text.split('\n').map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let word = line.split(' ').next().unwrap_or_default();
        match line.split_once('=') {
            _ if line.starts_with("ddb") => {}
            Some((key, value)) if !key.contains(' ') => {
                let value = value.trim().trim_matches('"');
                let parent = key == "parentfilenamehint" || (key == "parentcid" && value != NO_PARENT);
                if parent {
                    return Some("it has a parent disk");
                }
            }
            _ if ACCESS.contains(&word) => {
                extents = extents.saturating_add(1);
                if line.contains(['/', '\\']) {
                    return Some("an extent names a file elsewhere");
                }
                if sparse && line.split_ascii_whitespace().nth(2) != Some("sparse") {
                    return Some("an extent is not in the file itself");
                }
            }
            _ => return Some("its descriptor has a line that is not understood"),
        }
    }
    // Some programs look for the parent anywhere in the text, not only at the start of a line.
    if text.contains("parentfilenamehint") {
        return Some("it has a parent disk");
    }
    (extents == 0).then_some("its descriptor names no extent")
}

/// The value of `createType="…"`, wherever it stands, as programs look for it.
fn create_type(lower: &str) -> Option<&str> {
    let (_, rest) = lower.split_once("createtype=\"")?;
    let (value, _) = rest.split_once('"')?;
    (value.len() < TYPE_MAX).then_some(value)
}

/// In lower case up to the padding; what is not ASCII becomes a mark that matches nothing.
fn lower(data: &[u8]) -> String {
    let data = data.split(|b| *b == 0).next().unwrap_or_default();
    data.iter().map(|b| if b.is_ascii() { char::from(b.to_ascii_lowercase()) } else { '?' }).collect()
}
