//! Transactions: with and without somebody in between, large, and of things that are not there.

use super::{Dice, Op, Step, delete, key, maintain, set, value};

fn transact(keys: &[&str], between: Vec<Op>, ops: Vec<Op>) -> Step {
    let keys = keys.iter().map(|key| key.as_bytes().to_vec()).collect();
    Step::Transact { keys, between, ops }
}

fn put(key: &str, number: u64, size: u64) -> Vec<Op> {
    vec![Op::put(key, value(number, 0, size))]
}

/// Those that commit and those that conflict, in memory, over tables, and after reopens.
pub(super) fn transactions() -> Vec<Step> {
    let several = |number: u64, count: u64, size: u64| {
        let put = |index: u64| Op::put(format!("k{index:03}"), value(number, index, size));
        (0..count).map(put).chain([Op::delete("a")]).collect::<Vec<Op>>()
    };
    vec![
        set("a", 1),
        transact(&["a"], vec![], put("b", 2, 30)),
        transact(&["a", "missing"], put("c", 3, 30), put("d", 4, 30)),
        transact(&["a", "b"], put("b", 5, 30), put("e", 6, 30)),
        Step::Check,
        Step::Flush,
        transact(&[], put("f", 7, 400), put("g", 8, 400)),
        transact(&[], vec![], several(9, 4, 600)),
        Step::Abandon,
        transact(&["missing"], put("missing", 10, 30), put("h", 11, 30)),
        transact(&["gone"], put("there", 12, 300), put("gone", 13, 300)),
        delete("b"),
        transact(&["b", "k001"], put("k002", 14, 30), several(15, 30, 3000)),
        maintain("compact"),
        transact(&["k001"], several(16, 3, 20), put("i", 17, 30)),
        Step::Check,
    ]
}

/// A random one. What comes between sets keys alone, to values that they did not have.
pub(super) fn random(dice: &mut Dice, number: u64) -> Step {
    let keys = (0..dice.below(4)).map(|_| key(dice)).collect();
    let sizes = [20, 300, 3000];
    let mut puts = |first: u64, most: u64| {
        let count = dice.below(most + 1);
        let put = |index| Op::put(key(dice), value(number, index, sizes[dice.index(3)]));
        (first..first + count).map(put).collect::<Vec<Op>>()
    };
    let (between, mut ops) = (puts(0, 2), puts(10, 5));
    ops.push(Op::delete(key(dice)));
    Step::Transact { keys, between, ops }
}
