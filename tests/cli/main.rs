//! The command line, as a shell runs it: the built binary over directories of its own.

mod bench;
mod damage;
mod entries;
mod failures;
mod fixture;
mod holders;
mod inspection;
mod loads;
mod pages;
mod signals;
mod transfers;
mod upkeep;
