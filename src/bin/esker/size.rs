//! Sizes, as arguments.

/// The bytes that `text` names: `4096`, `64KiB`, `256MiB`, `1GiB`; a number alone is in bytes.
///
/// # Errors
/// What is expected, where it names none.
pub fn parse(text: &str) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let scale = match unit.trim() {
        "" | "B" => Some(1),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1_u64 << 30),
        _ => None,
    };
    let size = number.parse::<u64>().ok().and_then(|number| number.checked_mul(scale?));
    size.ok_or_else(|| format!("{text:?} is no size; write bytes, or 64MiB or 2GiB"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_others_refused() {
        let sizes = [
            ("0", 0),
            ("5000", 5000),
            ("12B", 12),
            ("4KiB", 4096),
            ("64 MiB", 64 << 20),
            ("2GiB", 2 << 30),
        ];
        for (text, expected) in sizes {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
        for text in [
            "",
            "MiB",
            "1MB",
            "-1",
            "1.5GiB",
            "1TiB",
            "99999999999999999999",
            "18446744073709551615GiB",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
