//! esker.
