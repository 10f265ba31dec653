//! One suite for every engine: what each call answers, in every corner.
//!
//! Each behaviour is a function over a [`fixture::Fixture`]; the macros of
//! `fixture` make it a test on every engine there is. A behaviour that steps
//! the clock runs where the clock can be stepped: the engine in memory always,
//! the one on disk with the feature `sim`.

#[macro_use]
mod fixture;

mod backups;
mod batches;
#[cfg(feature = "sim")]
mod differential;
mod errors;
mod kv;
mod lifecycle;
mod lsm;
mod new_engine;
mod services;
mod threads;
mod transactions;
mod transfer;
