use super::*;
use crate::format::{Properties, SeqNo};

/// Sizes are in these: so many bytes an entry.
const ENTRY_BYTES: u64 = 100;

/// A table: `id first..last size`, and, after that, `dN` tombstones, `sN` shadowed bytes, `eN`
/// entries that expire (from 1000 to 2000 ms), `wN` written at, `qN` its largest sequence
/// number (else 1000 less its id, so that tables stand newest first by id).
fn table(text: &str) -> TableMeta {
    let mut words = text.split_whitespace();
    let mut word = || words.next().expect("id, keys and size");
    let id: u64 = word().parse().expect("a number");
    let (first, last) = word().split_once("..").expect("a range of keys");
    let size_bytes: u64 = word().parse().expect("a size");
    let mut properties = Properties {
        entries: size_bytes / ENTRY_BYTES,
        raw_bytes: size_bytes,
        smallest_seq: SeqNo(1),
        largest_seq: SeqNo(1000_u64.saturating_sub(id)),
        smallest_key: first.into(),
        largest_key: last.into(),
        ..Properties::default()
    };
    let mut written_ms = 0;
    for word in words {
        let (what, n) = word.split_at(1);
        let n = n.parse().expect("a number");
        match what {
            "d" => properties.tombstones = n,
            "s" => properties.shadowed_bytes = n,
            "e" => {
                properties.expiring = n;
                (properties.smallest_expiry_ms, properties.largest_expiry_ms) = (1000, 2000);
            }
            "w" => written_ms = n,
            "q" => properties.largest_seq = SeqNo(n),
            _ => panic!("what is {word}?"),
        }
    }
    TableMeta { id: TableId(id), size_bytes, digest: 0, written_ms, properties }
}

/// One level to a line: `L0: table, table`.
fn tables(text: &str) -> Vec<(Level, TableMeta)> {
    let mut tables = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (level, list) = line.split_once(':').expect("a level");
        let number = level.trim_start_matches('L').parse().expect("a number");
        let level = Level::new(number).expect("a level");
        tables.extend(list.split(',').map(|text| (level, table(text))));
    }
    tables
}

fn conditions() -> Conditions {
    Conditions {
        now_ms: 500,
        expired_retention_ms: 0,
        reclaim_within_ms: 10_000,
        is_hurried: false,
        oldest_snapshot: None,
        deletes_kept_after: SeqNo::MAX,
        entry_bytes: ENTRY_BYTES,
    }
}

fn situation(conditions: Conditions, left_alone: &HashSet<TableId>) -> Situation<'_> {
    Situation {
        base_bytes: 10_000,
        overlap_bytes_max: 40_000,
        value_slack_bytes: 10_000,
        conditions,
        left_alone,
    }
}

fn picked_under(conditions: Conditions, left_alone: &[u64], text: &str) -> String {
    let tables = tables(text);
    let tree = Tree::new(tables.iter().map(|(level, meta)| (*level, meta)));
    let left_alone = left_alone.iter().map(|&id| TableId(id)).collect();
    let situation = situation(conditions, &left_alone);
    pick(&tree, &situation).map_or("nothing".to_owned(), |job| job.to_string())
}

fn picked(text: &str) -> String {
    picked_under(conditions(), &[], text)
}

#[test]
fn nothing_to_do() {
    assert_eq!(picked(""), "nothing");
    assert_eq!(picked("L0: 1 a..z 100, 2 a..z 100\nL6: 3 a..m 5000"), "nothing");
}

#[test]
fn level_0_goes_down_by_number_and_by_size() {
    let five = "L0: 1 a..e 1000, 2 b..f 1000, 3 c..g 1000, 4 d..h 1000, 5 a..b 1000";
    assert_eq!(picked(five), "Merge L0 [1, 2, 3, 4, 5] to L6 (Size)");
    let with_below = format!("{five}\nL6: 6 A..B 900, 7 a..c 900, 8 g..x 900, 9 y..z 900");
    assert_eq!(picked(&with_below), "Merge L0 [1, 2, 3, 4, 5] with [7, 8] to L6 (Size)");
    assert_eq!(picked("L0: 1 a..e 9000, 2 b..f 900"), "nothing");
    assert_eq!(picked("L0: 1 a..e 9000, 2 b..f 1000"), "Merge L0 [1, 2] to L6 (Size)");
}

#[test]
fn level_0_goes_no_further_than_the_first_level_in_use() {
    let text = "L0: 1 a..e 6000, 2 b..f 6000\nL3: 3 x..y 10\nL6: 4 a..c 5000";
    // L3 is to be empty: nothing of the kind is asked of a level above it.
    assert_eq!(picked(text), "Move L3 [3] to L4 (Size)");
    assert_eq!(picked_under(conditions(), &[3], text), "Merge L0 [1, 2] to L3 (Size)");
}

#[test]
fn the_oldest_of_level_0_moves_where_nothing_overlaps_it() {
    let text = "L0: 1 u..z 3000, 2 m..t 3000, 3 a..l 6000";
    assert_eq!(picked(text), "Move L0 [3] to L6 (Size)");
    let overlapped = "L0: 1 u..z 3000, 2 l..t 3000, 3 a..l 6000";
    assert_eq!(picked(overlapped), "Merge L0 [1, 2, 3] to L6 (Size)");
    // Not with what the merge would drop.
    let tombstones = "L0: 1 u..z 3000, 2 m..t 3000, 3 a..l 6000 d1";
    assert_eq!(picked(tombstones), "Merge L0 [1, 2, 3] to L6 (Size)");
}

#[test]
fn small_tables_of_level_0_are_merged_among_themselves() {
    let text = "L0: 1 a..z 10, 2 a..z 10, 3 a..z 10, 4 a..z 10, 5 a..z 10\nL6: 6 a..m 9000";
    assert_eq!(picked(text), "Merge L0 [1, 2, 3, 4, 5] to L0 (Size)");
}

#[test]
fn a_level_beyond_its_size_gives_the_table_that_costs_least() {
    let text = "
        L5: 1 a..c 3000, 2 d..f 3000, 3 g..i 9000
        L6: 4 a..b 40000, 5 d..e 20000, 6 g..h 40000";
    assert_eq!(picked(text), "Merge L5 [3] with [6] to L6 (Size)");
    // The tombstones of 2 are worth more than the size of 3.
    let text = text.replace("2 d..f 3000", "2 d..f 3000 d30");
    assert_eq!(picked(&text), "Merge L5 [2] with [5] to L6 (Size)");
    // One that overlaps nothing costs nothing.
    let text = text.replace("1 a..c", "1 A..C");
    assert_eq!(picked(&text), "Move L5 [1] to L6 (Size)");
}

// A table of a few tombstones all over the keys was merged with all of the level below.
#[test]
fn a_table_that_overlaps_too_much_is_cut_before_it_goes_down() {
    let wide = "
        L4: 1 a..z 20000
        L5: 2 a..b 30000, 3 c..d 30000, 4 e..z 20000
        L6: 5 a..a 800000";
    assert_eq!(picked(wide), "Merge L4 [1] with [2, 3, 4] to L5 (Size)");
    let wider = wide.replace("4 e..z 20000", "4 e..z 20001");
    assert_eq!(picked(&wider), "Merge L4 [1] to L4 (Size)");
    // One table is as much as can be.
    let one = "L4: 1 a..z 20000\nL5: 2 a..b 90000\nL6: 5 a..a 800000";
    assert_eq!(picked(one), "Merge L4 [1] with [2] to L5 (Size)");
    // Nor is it moved to where the next level would be too much.
    let above = "
        L4: 1 a..z 20000
        L6: 2 a..b 300000, 3 c..d 300000, 4 e..z 200000";
    assert_eq!(picked(above), "Merge L4 [1] to L5 (Size)");
}

// One damaged table kept all of level 0 from going down, for good.
#[test]
fn what_does_not_lie_over_a_damaged_table_of_level_0_goes_down() {
    let text = "L0: 1 a..c 2000, 2 x..z 2000, 3 e..h 2000, 4 d..f 2000, 5 a..x 9000";
    let picked = |damaged: &[u64]| picked_under(conditions(), damaged, text);
    // 3 lies over 4, and has to stay above it.
    assert_eq!(picked(&[4]), "Merge L0 [1, 2, 5] to L6 (Size)");
    assert_eq!(picked(&[5]), "nothing");
}

#[test]
fn much_garbage_goes_down_early() {
    let text = "L0: 1 a..z 600 d6\nL6: 3 a..m 5000";
    assert_eq!(picked(text), "Merge L0 [1] with [3] to L6 (Garbage)");
    assert_eq!(picked("L0: 1 a..z 600 d5\nL6: 3 a..m 5000"), "nothing");
    // The level with more of it first.
    let text = "L0: 1 a..z 600 d6\nL5: 2 a..c 1900 d19\nL6: 3 a..m 20000";
    assert_eq!(picked(text), "Merge L5 [2] with [3] to L6 (Garbage)");
}

#[test]
fn the_last_level_is_rewritten_where_that_frees_much_and_no_snapshot_forbids_it() {
    let text = "L6: 1 a..c 4000 s900, 2 d..m 4000 s1500 q9";
    assert_eq!(picked(text), "Merge L6 [2] to L6 (Garbage)");
    let held = |oldest| Conditions { oldest_snapshot: Some(SeqNo(oldest)), ..conditions() };
    assert_eq!(picked_under(held(8), &[], text), "nothing");
    assert_eq!(picked_under(held(9), &[], text), "Merge L6 [2] to L6 (Garbage)");
    assert_eq!(picked_under(conditions(), &[2], text), "nothing");
    // One that a snapshot or damage keeps as it is does not stand before the others.
    let two = "L6: 1 a..c 4000 s2000, 2 d..m 4000 s1500 q9";
    assert_eq!(picked_under(held(9), &[], two), "Merge L6 [2] to L6 (Garbage)");
    assert_eq!(picked_under(conditions(), &[1], two), "Merge L6 [2] to L6 (Garbage)");
}

#[test]
fn expired_entries_are_garbage_and_a_table_of_nothing_else_goes_whole() {
    let at = |now_ms| Conditions { now_ms, ..conditions() };
    let text = "L6: 1 a..c 4000 e20, 2 d..m 4000";
    assert_eq!(picked_under(at(1500), &[], text), "nothing");
    assert_eq!(picked_under(at(1600), &[], text), "Merge L6 [1] to L6 (Garbage)");
    let late = Conditions { expired_retention_ms: 700, ..at(2200) };
    assert_eq!(picked_under(late, &[], text), "nothing");
    let all = "L5: 1 a..c 4000 e40\nL6: 2 d..m 90000";
    assert_eq!(picked_under(at(1999), &[], all), "nothing");
    assert_eq!(picked_under(at(2000), &[], all), "Remove L5 [1] to L5 (Garbage)");
    // That its keys were written tells a transaction whether what it read has changed.
    let held = |oldest| Conditions { oldest_snapshot: Some(SeqNo(oldest)), ..at(2000) };
    assert_eq!(picked_under(held(998), &[], all), "nothing");
    assert_eq!(picked_under(held(999), &[], all), "Remove L5 [1] to L5 (Garbage)");
    // It may hide something.
    let hiding = "L5: 1 a..c 4000 e40\nL6: 2 b..m 90000";
    assert_eq!(picked_under(at(2000), &[], hiding), "nothing");
    let hiding = "L0: 1 a..c 300 e3, 2 b..m 4000\nL6: 3 x..z 90000";
    assert_eq!(picked_under(at(2000), &[], hiding), "nothing");
    let hidden = "L0: 2 b..m 4000, 3 a..c 300 e3\nL6: 4 x..z 90000";
    assert_eq!(picked_under(at(2000), &[], hidden), "Remove L0 [3] to L0 (Garbage)");
}

#[test]
fn a_tombstone_waits_no_longer_than_half_the_time_that_it_is_given() {
    let at = |now_ms| Conditions { now_ms, ..conditions() };
    let text = "L0: 1 a..z 100 w2000\nL5: 2 a..b 500 d1 w1000\nL6: 3 a..m 50000";
    assert_eq!(picked_under(at(5999), &[], text), "nothing");
    assert_eq!(picked_under(at(6000), &[], text), "Merge L5 [2] with [3] to L6 (Deadline)");
    let text = "L6: 1 a..b 5000 d1 w1000";
    assert_eq!(picked_under(at(6000), &[], text), "Merge L6 [1] to L6 (Deadline)");
    let text = "L6: 1 a..b 5000 e1 w1000";
    assert_eq!(picked_under(at(6000), &[], text), "Merge L6 [1] to L6 (Deadline)");
}

/// Until nobody asks for them they would come out of a merge as they went in, again and again.
#[test]
fn tombstones_that_are_kept_are_no_garbage_of_the_last_level() {
    let kept =
        |after, now_ms| Conditions { deletes_kept_after: SeqNo(after), now_ms, ..conditions() };
    let text = "L6: 1 a..b 5000 d20 w1000 q9";
    assert_eq!(picked_under(kept(9, 500), &[], text), "Merge L6 [1] to L6 (Garbage)");
    assert_eq!(picked_under(kept(8, 500), &[], text), "nothing");
    assert_eq!(picked_under(kept(8, 60_000), &[], text), "nothing", "not by the deadline either");
    // Above the last level they go down as ever: they hide what is below.
    let text = "L0: 1 a..z 100 w2000\nL5: 2 a..b 500 d1 w1000\nL6: 3 a..m 50000";
    assert_eq!(picked_under(kept(8, 6000), &[], text), "Merge L5 [2] with [3] to L6 (Deadline)");
    // What has expired becomes a tombstone, once.
    let text = "L5: 1 a..c 4000 e40 q9\nL6: 2 d..m 90000";
    assert_eq!(picked_under(kept(9, 2000), &[], text), "Remove L5 [1] to L5 (Garbage)");
    assert_eq!(picked_under(kept(8, 2000), &[], text), "nothing");
    assert_eq!(picked_under(kept(8, 6000), &[], text), "Merge L5 [1] to L6 (Deadline)");
    let text = "L6: 1 a..c 4000 e40";
    assert_eq!(picked_under(kept(8, 2000), &[], text), "Merge L6 [1] to L6 (Garbage)");
    assert_eq!(picked_under(kept(8, 60_000), &[], "L6: 1 a..c 4000 d40"), "nothing");
}

#[test]
fn deletes_that_scans_pay_for_do_not_wait() {
    let hurried = Conditions { is_hurried: true, ..conditions() };
    // A quarter of its entries, and less.
    let text = "L5: 2 a..b 400000 d1000\nL6: 3 a..m 50000000";
    assert_eq!(picked(text), "nothing");
    assert_eq!(picked_under(hurried, &[], text), "Merge L5 [2] with [3] to L6 (Deadline)");
    let few = "L5: 2 a..b 404000 d1000\nL6: 3 a..m 50000000";
    assert_eq!(picked_under(hurried, &[], few), "nothing");
    let small = "L5: 2 a..b 99900 d999\nL6: 3 a..m 50000000";
    assert_eq!(picked_under(hurried, &[], small), "nothing");
    // In the last level, unless a snapshot may see what they hide: it would be written anew for nothing, again and again.
    let last = "L6: 1 a..b 400000 d1000 q5, 2 c..z 50000000";
    assert_eq!(picked_under(hurried, &[], last), "Merge L6 [1] to L6 (Deadline)");
    let held = Conditions { oldest_snapshot: Some(SeqNo(4)), ..hurried };
    assert_eq!(picked_under(held, &[], last), "nothing");
}

/// Jobs are done one after the other, by size of tables alone: none frees anything.
#[test]
fn work_comes_to_an_end() {
    let mut tables: Vec<(Level, TableMeta)> = Vec::new();
    let left_alone = HashSet::new();
    let mut steps = 0;
    for number in 0..200_u64 {
        let mut new = table(&format!("{} a..z {} d1", number + 1, 300 + number * 97 % 4000));
        new.properties.largest_seq = SeqNo(number + 1);
        tables.insert(0, (Level::ZERO, new));
        loop {
            let tree = Tree::new(tables.iter().map(|(level, meta)| (*level, meta)));
            let situation = situation(conditions(), &left_alone);
            let Some(job) = pick(&tree, &situation) else { break };
            steps += 1;
            let ids: Vec<TableId> = job.upper.iter().chain(&job.lower).copied().collect();
            let taken = tables.iter().filter(|(_, meta)| ids.contains(&meta.id));
            let size: u64 = taken.map(|(_, meta)| meta.size_bytes).sum();
            tables.retain(|(_, meta)| !ids.contains(&meta.id));
            let mut merged = table(&format!("{} a..z {size}", 1000 + steps));
            merged.properties.largest_seq = SeqNo(number + 1);
            tables.push((job.to, merged));
            tables.sort_by_key(|(level, meta)| (*level, Reverse(meta.properties.largest_seq)));
            assert!(steps < 2_000, "after {number} tables: {job}");
        }
    }
    assert!(steps > 40, "{steps}");
}

#[test]
fn a_request_takes_everything_down() {
    let tables =
        tables("L0: 1 a..c 100, 2 b..f 100\nL4: 3 a..b 100\nL6: 4 a..m 5000 d1, 5 n..z 90");
    let tree = Tree::new(tables.iter().map(|(level, meta)| (*level, meta)));
    let left_alone = HashSet::new();
    let situation = situation(conditions(), &left_alone);
    let picked = |first: &str, last: &str| {
        let is_meant = |t: &TableMeta| {
            t.smallest_key() <= last.as_bytes() && first.as_bytes() <= t.largest_key()
        };
        pick_requested(&tree, &situation, is_meant).map_or("nothing".into(), |j| j.to_string())
    };
    assert_eq!(picked("a", "z"), "Merge L0 [1, 2] with [3] to L4 (Request)");
    assert_eq!(picked("g", "z"), "Merge L6 [4] to L6 (Request)");
    assert_eq!(picked("n", "z"), "nothing");
    let conditions = Conditions { deletes_kept_after: SeqNo(9), ..conditions() };
    let situation = super::Situation { conditions, ..situation };
    assert_eq!(pick_requested(&tree, &situation, |t| t.id == TableId(4)), None);
}
