//! What callgrind wrote, read: how many instructions it has counted.
//!
//! Of its format, which has a line for each function, only the sums matter here: `events:` says what was counted,
//! and `totals:`, the last line of a part, how much of it.

/// The instructions in the output `text` of a run.
///
/// # Errors
/// What is wrong with it: it is no such output, it was cut short, something else was counted, or nothing.
pub fn instructions(text: &str) -> Result<u64, String> {
    let mut totals = None;
    let mut counts_instructions = false;
    for line in text.lines() {
        if let Some(events) = line.strip_prefix("events:") {
            counts_instructions = events.split_whitespace().eq(["Ir"]);
        } else if let Some(found) = line.strip_prefix("totals:") {
            let found = found.trim();
            let number = found.parse().map_err(|_| format!("`totals: {found}` is no number"))?;
            if totals.replace(number).is_some() {
                return Err("there are two sums in it: it is of several runs".to_string());
            }
        }
    }
    match totals {
        _ if !counts_instructions => {
            Err("no line `events: Ir`: it is not a count of instructions".to_string())
        }
        None => Err("no line `totals:`: it is cut short".to_string()),
        Some(0) => Err("nothing was counted: the counted function was not called by the name \
             that the counter looks for"
            .to_string()),
        Some(totals) => Ok(totals),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "# callgrind format\nversion: 1\ncreator: callgrind-3.19.0\npid: 7\n\
        cmd:  target/release/instructions\npart: 1\n\n\ndesc: I1 cache: \n\
        desc: Timerange: Basic block 0 - 4711\ndesc: Trigger: Program termination\n\n\
        positions: line\nevents: Ir\nsummary: 1200\n\n\nfn=(1) get\n0 900\ncfn=(2) totals: 5\n\
        calls=1 0\n0 300\n\nfn=(2)\n0 300\n\ntotals: 1200\n";

    #[test]
    fn the_sum_is_found() {
        assert_eq!(instructions(OUTPUT), Ok(1200));
    }

    #[test]
    fn what_is_no_whole_count_is_refused() {
        let wrong = [
            (String::new(), "not a count"),
            (OUTPUT.replace("events: Ir\n", ""), "not a count"),
            (OUTPUT.replace("events: Ir\n", "events: Ir Dr Dw\n"), "not a count"),
            (OUTPUT.replace("\ntotals: 1200\n", "\n"), "cut short"),
            (OUTPUT.replace("totals: 1200", "totals: 12x"), "`totals: 12x` is no number"),
            (OUTPUT.replace("totals: 1200", "totals: 0"), "nothing was counted"),
            (OUTPUT.repeat(2), "several runs"),
        ];
        for (text, expected) in wrong {
            let told = instructions(&text).expect_err(expected);
            assert!(told.contains(expected), "{expected}: {told}");
        }
    }
}
