//! The one test binary.

mod db;
