//! The one test binary.

// The lints that tests are free of look for this attribute.
#[cfg(test)]
mod db;
