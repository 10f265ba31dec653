//! Judges a history of transactions by the graph of what depends on what.
//!
//! The definitions are Adya's (Weak Consistency, 1999). Each transaction that committed is a
//! node; an edge says that one comes before another: it wrote the version before the other's
//! (`ww`), it wrote what the other read (`wr`), or it read what the other replaced (`rw`).
//! A range that was read has read each of its keys, those that were not there, too.
//! Histories that a serial execution can have are those without a cycle, and the kinds of
//! edges of a cycle name the anomaly.

use std::collections::{BTreeMap, BTreeSet};

pub type Tx = usize;
pub type Key = &'static str;

/// Who wrote a version of a key, and the how-manieth write of the key it was in that transaction,
/// from 1 on. `None`: nobody has, the key was never there.
pub type Version = Option<(Tx, usize)>;

/// What one transaction did.
#[derive(Debug, Clone, Default)]
pub struct Record {
    pub committed: bool,
    /// What it read, but for what it had written itself.
    pub reads: Vec<(Key, Version)>,
    /// How often it wrote each key.
    pub writes: BTreeMap<Key, usize>,
}

/// What happened, and of each key the committed transactions that wrote it, in order.
#[derive(Debug, Clone, Default)]
pub struct History {
    pub records: Vec<Record>,
    pub order: BTreeMap<Key, Vec<Tx>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Anomaly {
    /// Dirty write: a cycle of `ww` alone.
    G0,
    /// Aborted read.
    G1a,
    /// Intermediate read.
    G1b,
    /// Circular information flow: a cycle of `ww` and `wr`.
    G1c,
    /// Lost update, read skew: a cycle with one `rw`.
    GSingle,
    /// Write skew, phantoms, the read-only anomaly: a cycle with more of them.
    G2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Ww,
    Wr,
    Rw,
}

type Edges = BTreeMap<Tx, BTreeSet<(Tx, Kind)>>;

/// Every kind of anomaly in `history`, with the transactions of one instance of it.
pub fn anomalies(history: &History) -> BTreeMap<Anomaly, Vec<Tx>> {
    let mut found = BTreeMap::new();
    dirty_reads(history, &mut found);
    let edges = without_acyclic(edges(history));
    for (from, to, kind) in each(&edges) {
        // The kinds that lead back, from the strictest; the edge itself closes the cycle.
        let ways: &[(&[Kind], Anomaly)] = match kind {
            Kind::Ww => &[(&[Kind::Ww], Anomaly::G0), (&[Kind::Ww, Kind::Wr], Anomaly::G1c)],
            Kind::Wr => &[(&[Kind::Ww, Kind::Wr], Anomaly::G1c)],
            Kind::Rw => &[
                (&[Kind::Ww, Kind::Wr], Anomaly::GSingle),
                (&[Kind::Ww, Kind::Wr, Kind::Rw], Anomaly::G2),
            ],
        };
        for (kinds, anomaly) in ways {
            if let Some(way) = way(&edges, to, from, kinds) {
                found.entry(*anomaly).or_insert(way);
                break;
            }
        }
    }
    found
}

fn dirty_reads(history: &History, found: &mut BTreeMap<Anomaly, Vec<Tx>>) {
    for (reader, record) in committed(history) {
        for (key, version) in &record.reads {
            let Some((writer, nth)) = *version else { continue };
            let of_writer = &history.records[writer];
            if !of_writer.committed {
                found.entry(Anomaly::G1a).or_insert_with(|| vec![writer, reader]);
            } else if of_writer.writes.get(key) != Some(&nth) {
                found.entry(Anomaly::G1b).or_insert_with(|| vec![writer, reader]);
            }
        }
    }
}

fn committed(history: &History) -> impl Iterator<Item = (Tx, &Record)> {
    history.records.iter().enumerate().filter(|(_, record)| record.committed)
}

fn edges(history: &History) -> Edges {
    let mut edges = Edges::new();
    let mut add = |from: Tx, to: Tx, kind| {
        if from != to {
            edges.entry(from).or_default().insert((to, kind));
        }
    };
    for writers in history.order.values() {
        writers.windows(2).for_each(|two| add(two[0], two[1], Kind::Ww));
    }
    for (reader, record) in committed(history) {
        for (key, version) in &record.reads {
            let writers = history.order.get(key).map_or(&[][..], Vec::as_slice);
            let next = match version {
                None => writers.first(),
                Some((writer, _)) => {
                    add(*writer, reader, Kind::Wr);
                    let at = writers.iter().position(|other| other == writer);
                    at.and_then(|at| writers.get(at + 1))
                }
            };
            if let Some(next) = next {
                add(reader, *next, Kind::Rw);
            }
        }
    }
    edges
}

/// What is left when nodes to which nothing leads are taken away, one after the other: nothing, if there
/// is no cycle.
fn without_acyclic(mut edges: Edges) -> Edges {
    let mut leading_to = BTreeMap::<Tx, usize>::new();
    each(&edges).for_each(|(_, to, _)| *leading_to.entry(to).or_default() += 1);
    let is_free = |tx: &Tx| !leading_to.contains_key(tx);
    let mut free: Vec<Tx> = edges.keys().copied().filter(is_free).collect();
    while let Some(tx) = free.pop() {
        for (to, _) in edges.remove(&tx).unwrap_or_default() {
            let count = leading_to.get_mut(&to).expect("it was counted");
            *count -= 1;
            if *count == 0 {
                free.push(to);
            }
        }
    }
    edges
}

fn each(edges: &Edges) -> impl Iterator<Item = (Tx, Tx, Kind)> {
    edges.iter().flat_map(|(from, to)| to.iter().map(|(to, kind)| (*from, *to, *kind)))
}

/// The nodes on a way over edges of `kinds`, both ends included.
fn way(edges: &Edges, from: Tx, to: Tx, kinds: &[Kind]) -> Option<Vec<Tx>> {
    let mut came_from = BTreeMap::from([(from, from)]);
    let mut next = std::collections::VecDeque::from([from]);
    while let Some(at) = next.pop_front() {
        if at == to {
            let mut way = vec![to];
            let mut last = to;
            while last != from {
                last = came_from[&last];
                way.push(last);
            }
            way.reverse();
            return Some(way);
        }
        for (node, kind) in edges.get(&at).into_iter().flatten() {
            if kinds.contains(kind) && !came_from.contains_key(node) {
                came_from.insert(*node, at);
                next.push_back(*node);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A transaction that committed: `r key version`, `w key`, with a comma between; a version is
    /// the number of its writer, `writer.nth` for one that is not its only, `-` for none.
    fn committed(text: &'static str) -> Record {
        let mut record = Record { committed: true, ..Record::default() };
        for act in text.split(',').map(str::trim).filter(|act| !act.is_empty()) {
            let words: Vec<&'static str> = act.split(' ').collect();
            match words[..] {
                ["r", key, "-"] => record.reads.push((key, None)),
                ["r", key, version] => {
                    let (writer, nth) = version.split_once('.').unwrap_or((version, "1"));
                    let number = |text: &str| text.parse().expect("a number");
                    record.reads.push((key, Some((number(writer), number(nth)))));
                }
                ["w", key] => *record.writes.entry(key).or_default() += 1,
                _ => panic!("{act}"),
            }
        }
        record
    }

    fn aborted(text: &'static str) -> Record {
        Record { committed: false, ..committed(text) }
    }

    fn history(
        records: impl IntoIterator<Item = Record>,
        order: impl IntoIterator<Item = (Key, Vec<Tx>)>,
    ) -> History {
        let (records, order) = (records.into_iter().collect(), order.into_iter().collect());
        History { records, order }
    }

    fn found(history: &History) -> Vec<Anomaly> {
        anomalies(history).into_keys().collect()
    }

    #[test]
    fn serial_histories_have_none() {
        let serial = history(
            [
                committed("r x -, w x, w y"),
                committed("r x 0, w x, w x"),
                aborted("r x 1.2, w x"),
                committed("r x 1.2, r y 0, r z -"),
                committed("r y 0, w y, r x 1.2"),
                committed("w x, w y, w z"),
            ],
            [("x", vec![0, 1, 5]), ("y", vec![0, 4, 5]), ("z", vec![5])],
        );
        assert_eq!(found(&serial), []);
        // Blind writes in any order, as long as it is one.
        let blind = history(
            [committed("w x, w y"), committed("w x, w y")],
            [("x", vec![1, 0]), ("y", vec![1, 0])],
        );
        assert_eq!(found(&blind), []);
        // One that only reads, of an older state.
        let old = history(
            [committed("w x, w y"), committed("r x 0, w x"), committed("r x 0, r y 0")],
            [("x", vec![0, 1]), ("y", vec![0])],
        );
        assert_eq!(found(&old), []);
    }

    #[test]
    fn g0_dirty_write() {
        let two = [committed("w x, w y"), committed("w x, w y")];
        let planted = history(two, [("x", vec![0, 1]), ("y", vec![1, 0])]);
        assert_eq!(found(&planted), [Anomaly::G0]);
    }

    #[test]
    fn g1a_aborted_read() {
        let planted = history([aborted("w x"), committed("r x 0")], []);
        assert_eq!(found(&planted), [Anomaly::G1a]);
    }

    #[test]
    fn g1b_intermediate_read() {
        let planted = history([committed("w x, w x"), committed("r x 0.1")], [("x", vec![0])]);
        assert_eq!(found(&planted), [Anomaly::G1b]);
    }

    #[test]
    fn g1c_circular_information_flow() {
        let planted = history(
            [committed("w x, r y 1"), committed("w y, r x 0")],
            [("x", vec![0]), ("y", vec![1])],
        );
        assert_eq!(found(&planted), [Anomaly::G1c]);
    }

    #[test]
    fn lost_update() {
        let planted = history(
            [committed("w x"), committed("r x 0, w x"), committed("r x 0, w x")],
            [("x", vec![0, 1, 2])],
        );
        assert_eq!(found(&planted), [Anomaly::GSingle]);
    }

    #[test]
    fn read_skew() {
        let planted = history(
            [committed("w x, w y"), committed("w x, w y"), committed("r x 0, r y 1")],
            [("x", vec![0, 1]), ("y", vec![0, 1])],
        );
        assert_eq!(found(&planted), [Anomaly::GSingle]);
    }

    #[test]
    fn write_skew() {
        let planted = history(
            [committed("w x, w y"), committed("r x 0, r y 0, w x"), committed("r x 0, r y 0, w y")],
            [("x", vec![0, 1]), ("y", vec![0, 2])],
        );
        assert_eq!(found(&planted), [Anomaly::G2]);
    }

    #[test]
    fn phantom() {
        // Both looked into a range in which there was nothing.
        let planted = history(
            [committed("r p1 -, r p2 -, w p1"), committed("r p1 -, r p2 -, w p2")],
            [("p1", vec![0]), ("p2", vec![1])],
        );
        assert_eq!(found(&planted), [Anomaly::G2]);
    }

    #[test]
    fn read_only_anomaly() {
        // A. Fekete, E. O'Neil and P. O'Neil, A Read-Only Transaction Anomaly Under Snapshot
        // Isolation, 2004: without the one that only reads all is well.
        let deposit = committed("r y 0, w y");
        let withdrawal = committed("r x 0, r y 0, w x");
        let report = committed("r x 0, r y 1");
        let order = [("x", vec![0, 2]), ("y", vec![0, 1])];
        let opening = committed("w x, w y");
        let two = [opening.clone(), deposit.clone(), withdrawal.clone()];
        assert_eq!(found(&history(two, order.clone())), []);
        let planted = history([opening, deposit, withdrawal, report], order);
        assert_eq!(found(&planted), [Anomaly::G2]);
    }

    #[test]
    fn an_instance_is_named() {
        let planted = history(
            [committed("w x"), committed("r x 0, w x"), committed("w z"), committed("r x 0, w x")],
            [("x", vec![0, 1, 3]), ("z", vec![2])],
        );
        assert_eq!(anomalies(&planted)[&Anomaly::GSingle], [1, 3]);
    }
}
