//! The one test binary. The modules are marked as tests so that helpers beside the tests may fail loudly too.

#[cfg(test)]
mod format;
#[cfg(test)]
mod store;
