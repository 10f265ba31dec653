//! What is printed: the counts beside their bounds, and what to do.

use crate::bounds::{Bounds, Count, Verdict, off_percent};

/// The command that counts.
const COMMAND: &str = "cargo run --release --manifest-path benches/instructions/Cargo.toml --";

/// A line for each count, then what to do; and whether all is well. `counted_with` is what they were made with, and
/// `is_path` says whether there is a path of that name.
pub fn comparison(
    bounds: &Bounds,
    counts: &[Count],
    counted_with: &str,
    is_path: impl Fn(&str) -> bool,
) -> (String, bool) {
    let mut text = format!("{:<14} {:>12} {:>12} {:>8}\n", "path", "bound", "found", "off");
    let (mut wrong, mut lower) = (Vec::new(), Vec::new());
    for count in counts {
        let Count { name, instructions: found, .. } = count;
        let Some(bound) = bounds.get(name) else {
            text += &format!("{name:<14} {:>12} {found:>12.1} {:>8}\n", "-", "-");
            wrong.push(format!("{name} has no bound; it takes {found:.1} instructions."));
            continue;
        };
        let (bound, off) = (bound.instructions, off_percent(bound.instructions, *found));
        text += &format!("{name:<14} {bound:>12.1} {found:>12.1} {off:>+7.2}%\n");
        let said = format!("{name}: {found:.1} instructions, bound {bound:.1}, {off:+.1} %");
        match bounds.judge(count) {
            Verdict::Exceeds => wrong.push(format!("{said}: above the tolerance.")),
            Verdict::Undercuts => lower.push(format!("{said}: the bound can be lowered.")),
            Verdict::Holds | Verdict::HasNone => {}
        }
    }
    wrong.extend(bounds.orphans(is_path).map(|name| format!("{name} has a bound and is no path.")));
    for line in wrong.iter().chain(&lower) {
        text += &format!("\n{line}");
    }
    if counted_with != bounds.counted_with {
        text += &format!(
            "\nThe bounds were counted with {}; this is {counted_with}: that may be the difference.",
            bounds.counted_with
        );
    }
    text += &advice(bounds.tolerance_percent, !wrong.is_empty(), !lower.is_empty());
    (text, wrong.is_empty())
}

fn advice(tolerance_percent: f64, is_wrong: bool, is_lower: bool) -> String {
    if is_wrong {
        format!(
            "\n\nFAILED: the tolerance is {tolerance_percent} %. To find what has become slower, keep what was counted \
             before and after, and compare what `callgrind_annotate` says of both:\n  {COMMAND} --keep NAME\n\
             If the cost is meant, write the bounds anew, and say in the commit why:\n  {COMMAND} --update\n"
        )
    } else if is_lower {
        format!(
            "\n\nIt holds. What was gained is guarded once the bounds are written anew:\n  {COMMAND} --update\n"
        )
    } else {
        format!("\nIt holds, within {tolerance_percent} %.\n")
    }
}

/// What an update changes, a line a path.
pub fn changes(before: &Bounds, after: &Bounds) -> String {
    let mut text = String::new();
    for row in &after.rows {
        let (name, found) = (&row.name, row.instructions);
        text += &match before.get(name).map(|bound| bound.instructions) {
            Some(bound) => {
                let off = off_percent(bound, found);
                format!("{name:<14} {bound:>12.1} -> {found:>12.1} {off:>+7.2}%\n")
            }
            None => format!("{name:<14} {:>12} -> {found:>12.1}\n", "-"),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounds::Bound;

    const TOOLS: &str = "rustc 1.95.0, valgrind-3.19.0";

    fn bounds() -> Bounds {
        let row = |name: &str, instructions| Bound {
            name: name.to_string(),
            instructions,
            counted_on: "2026-11-26".to_string(),
            what: "an operation".to_string(),
        };
        Bounds {
            tolerance_percent: 3.0,
            counted_with: TOOLS.to_string(),
            rows: vec![row("get", 1000.0), row("scan", 61.5)],
        }
    }

    fn compared(get: f64, scan: f64, tools: &str) -> (String, bool) {
        let count = |name: &str, instructions| Count {
            name: name.to_string(),
            instructions,
            what: "an operation".to_string(),
        };
        comparison(&bounds(), &[count("get", get), count("scan", scan)], tools, |name| {
            name != "gone"
        })
    }

    #[test]
    fn what_holds_is_said_to() {
        let (text, holds) = compared(1029.0, 60.0, TOOLS);
        assert!(holds);
        assert!(text.contains("get                  1000.0       1029.0   +2.90%\n"), "{text}");
        assert!(text.ends_with("\nIt holds, within 3 %.\n"), "{text}");
    }

    #[test]
    fn what_exceeds_its_bound_fails_and_is_named_with_what_to_do() {
        let (text, holds) = compared(1031.0, 61.5, TOOLS);
        assert!(!holds);
        assert!(
            text.contains("\nget: 1031.0 instructions, bound 1000.0, +3.1 %: above the tolerance."),
            "{text}"
        );
        assert!(text.contains("FAILED: the tolerance is 3 %"), "{text}");
        assert!(text.contains("-- --update\n"), "{text}");
        assert!(!text.contains("counted with"), "{text}");
    }

    #[test]
    fn what_undercuts_its_bound_is_told_and_does_not_fail() {
        let (text, holds) = compared(1000.0, 50.0, TOOLS);
        assert!(holds);
        assert!(
            text.contains(
                "\nscan: 50.0 instructions, bound 61.5, -18.7 %: the bound can be lowered."
            ),
            "{text}"
        );
        assert!(text.contains("It holds.") && text.contains("-- --update\n"), "{text}");
    }

    #[test]
    fn other_tools_are_told() {
        let (text, holds) = compared(1000.0, 61.5, "rustc 2.0.0, valgrind-4");
        assert!(holds);
        assert!(
            text.contains(
                "counted with rustc 1.95.0, valgrind-3.19.0; this is rustc 2.0.0, valgrind-4"
            ),
            "{text}"
        );
    }

    #[test]
    fn a_path_without_a_bound_fails_and_so_does_a_bound_without_a_path() {
        let count = Count { name: "set".to_string(), instructions: 5.0, what: String::new() };
        let (text, holds) = comparison(&bounds(), &[count], TOOLS, |_| true);
        assert!(!holds);
        assert!(text.contains("\nset has no bound; it takes 5.0 instructions."), "{text}");
        let (text, holds) = comparison(&bounds(), &[], TOOLS, |name| name == "get");
        assert!(!holds);
        assert!(text.contains("\nscan has a bound and is no path."), "{text}");
    }

    #[test]
    fn an_update_is_told_by_the_path() {
        let mut after = bounds();
        after.rows[0].instructions = 900.0;
        after.rows[1].name = "set".to_string();
        let text = changes(&bounds(), &after);
        let lines: Vec<_> = text
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(lines, ["get 1000.0 -> 900.0 -10.00%", "set - -> 61.5"]);
    }
}
