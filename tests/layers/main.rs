//! The shape of the source, held by tests: which module may import which
//! (`imports`), and the rules of style that a program can check (`tidy`).
//!
//! Both read the source as tokens, so that comments and strings are no code,
//! and both check themselves on sources that break each rule.

mod imports;
mod source;
mod tidy;
