//! The credentials that Glance 33 gives its rules: those of oslo.context, and no others.

/// What a rule calls the caller's.
pub(super) enum Credential {
    /// Policies know it too.
    Known,
    /// A token of a project does not have it.
    Absent,
    /// Glance does not know it: a check that speaks of it fails.
    Unknown,
}

const KNOWN: [&str; 5] = ["project_id", "user_id", "project_domain_id", "roles", "service_roles"];
/// Those of Glance that policies are not told.
const HIDDEN: [&str; 6] = [
    "user_domain_id",
    "is_admin_project",
    "service_user_id",
    "service_user_domain_id",
    "service_project_id",
    "service_project_domain_id",
];

/// What the left side of a check is, when it is no literal.
///
/// # Errors
/// When only Glance knows the credential, and when nobody can read it.
pub(super) fn find(name: &str) -> Result<Credential, String> {
    let readable = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.starts_with(|c: char| c.is_ascii_digit() || c == '-') || !name.chars().all(readable) || name.is_empty() {
        return Err(format!("`{name}` is neither the name of a credential nor a literal"));
    }
    if KNOWN.contains(&name) {
        return Ok(Credential::Known);
    }
    // Glance's credentials hold no others, so that Python fails on a path into one.
    let first = name.split('.').next().unwrap_or_default();
    if HIDDEN.contains(&first) || first != name && KNOWN.contains(&first) {
        return Err(format!("the credential `{name}` is not known to the policies"));
    }
    Ok(if matches!(name, "system_scope" | "domain_id") { Credential::Absent } else { Credential::Unknown })
}

/// Whether a check that speaks of this credential fails in Glance, whoever asks.
pub(super) fn is_unknown(name: &str) -> bool {
    matches!(find(name), Ok(Credential::Unknown))
}
