//! Rulesets: policies and plug-ins as one immutable, numbered generation behind one swappable pointer.

/// One generation of rules. A request takes it at its start and keeps it to its end.
pub struct Ruleset {
    /// Counts up with every swap, from 1.
    pub generation: u64,
}
