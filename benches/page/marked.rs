//! Parts of a page that a program writes.

/// `text` with what stands between the lines `<!-- NAME -->` and `<!-- end of NAME -->` replaced by `content`.
///
/// # Errors
/// The line that is not there.
pub fn replaced_between(text: &str, name: &str, content: &str) -> Result<String, String> {
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->\n"));
    let from =
        text.find(&begin).ok_or_else(|| format!("no line `{}`", begin.trim_end()))? + begin.len();
    let to = text[from..].find(&end).ok_or_else(|| format!("no line `{}`", end.trim_end()))? + from;
    Ok([&text[..from], content, &text[to..]].concat())
}
