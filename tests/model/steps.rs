//! What a user may do, at random.

use proptest::prelude::*;
use std::collections::BTreeMap;
use std::ops::Bound;

/// A key, and its new value with a time to live in milliseconds (0: none), or
/// nothing to delete it.
pub type Op = (Vec<u8>, Option<(Vec<u8>, u16)>);

#[derive(Debug, Clone)]
pub enum Step {
    Set(Vec<u8>, Vec<u8>),
    SetWithTtl(Vec<u8>, Vec<u8>, u16),
    Delete(Vec<u8>),
    Batch(Vec<Op>, Option<bool>),
    Ingest(BTreeMap<Vec<u8>, (Vec<u8>, u16)>),
    Get(Vec<u8>),
    Range(Bound<Vec<u8>>, Bound<Vec<u8>>, Vec<bool>),
    Prefix(Vec<u8>, bool),
    Snapshot,
    /// Looks at a snapshot, if there is one, and lets go of it.
    Release(usize),
    /// Lets so many milliseconds pass.
    Advance(u16),
    /// The clock is set back by so many milliseconds.
    ClockBack(u16),
    Flush,
    Compact,
    /// Collect the garbage of large values.
    Collect,
    Persist,
    Reopen,
    /// Drop the handle without closing it.
    Abandon,
}

pub fn key() -> impl Strategy<Value = Vec<u8>> {
    let letter = prop_oneof![Just(b'a'), Just(b'b'), Just(0), Just(0xff)];
    prop_oneof![
        6 => proptest::collection::vec(letter, 0..4),
        1 => proptest::collection::vec(any::<u8>(), 0..40),
    ]
}

pub fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        12 => proptest::collection::vec(any::<u8>(), 0..20),
        2 => (any::<u8>(), 0..9000_usize).prop_map(|(b, n)| vec![b; n]),
        1 => (any::<u8>(), 60_000..200_000_usize).prop_map(|(b, n)| vec![b; n]),
    ]
}

fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
    prop_oneof![
        Just(Bound::Unbounded),
        key().prop_map(Bound::Included),
        key().prop_map(Bound::Excluded),
    ]
}

fn ttl_ms() -> impl Strategy<Value = u16> {
    1..50_u16
}

fn ttl_or_none() -> impl Strategy<Value = u16> {
    prop_oneof![3 => Just(0), 1 => ttl_ms()]
}

pub fn op() -> impl Strategy<Value = Op> {
    (key(), proptest::option::weighted(0.7, (value(), ttl_or_none())))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (key(), value()).prop_map(|(k, v)| Step::Set(k, v)),
        4 => (key(), value(), ttl_ms()).prop_map(|(k, v, ttl)| Step::SetWithTtl(k, v, ttl)),
        4 => key().prop_map(Step::Delete),
        4 => (proptest::collection::vec(op(), 0..8), any::<Option<bool>>())
            .prop_map(|(ops, sync)| Step::Batch(ops, sync)),
        3 => proptest::collection::btree_map(key(), (value(), ttl_or_none()), 0..8)
            .prop_map(Step::Ingest),
        8 => key().prop_map(Step::Get),
        6 => (bound(), bound(), proptest::collection::vec(any::<bool>(), 1..12))
            .prop_map(|(low, high, turns)| Step::Range(low, high, turns)),
        3 => (key(), any::<bool>()).prop_map(|(p, back)| Step::Prefix(p, back)),
        2 => Just(Step::Snapshot),
        1 => any::<usize>().prop_map(Step::Release),
        3 => (1..40_u16).prop_map(Step::Advance),
        1 => (1..100_u16).prop_map(Step::ClockBack),
        3 => Just(Step::Flush),
        2 => Just(Step::Compact),
        2 => Just(Step::Collect),
        1 => Just(Step::Persist),
        2 => Just(Step::Reopen),
        1 => Just(Step::Abandon),
    ]
}

pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    proptest::collection::vec(step(), 1..80)
}
