//! Whether a page is well-formed, and has all that it needs in itself.

/// What is wrong with `page`: tags that do not match, attributes without quotes, anything that would be fetched or run.
pub fn offences(page: &str) -> Vec<String> {
    let mut offences = Vec::new();
    for fetched in [
        "http://", "https://", "//cdn", " src=", " href=", "url(", "@import", "<script", "<link",
        "<iframe",
    ] {
        if page.contains(fetched) {
            offences.push(format!("it has {fetched}"));
        }
    }
    let mut open: Vec<&str> = Vec::new();
    let mut rest = page;
    while let Some((before, behind)) = rest.split_once('<') {
        // Text: an ampersand begins a reference, and nothing ends a tag.
        if open.last() != Some(&"style") && (before.contains('>') || has_bare_ampersand(before)) {
            offences.push(format!("text with markup: {before:?}"));
        }
        let Some((tag, behind)) = behind.split_once('>') else {
            offences.push(format!("a tag without an end: {behind:?}"));
            break;
        };
        rest = behind;
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop() != Some(name) {
                offences.push(format!("</{name}> closes what is not open"));
            }
        } else if !tag.starts_with('!') {
            let is_closed = tag.ends_with('/');
            let tag = tag.trim_end_matches('/');
            let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
            if !are_attributes(attributes) {
                offences.push(format!("attributes of <{tag}>"));
            }
            if !is_closed {
                open.push(name);
            }
        }
    }
    offences.extend(open.iter().map(|name| format!("<{name}> is not closed")));
    offences
}

fn has_bare_ampersand(text: &str) -> bool {
    text.match_indices('&').any(|(at, _)| {
        let end = text[at..].find(';').unwrap_or(0);
        !(2..=8).contains(&end)
    })
}

/// Whether they are `name="value"`, with spaces between.
fn are_attributes(mut text: &str) -> bool {
    while !text.trim().is_empty() {
        let Some((name, rest)) = text.split_once("=\"") else { return false };
        let Some((value, rest)) = rest.split_once('"') else { return false };
        if name.trim().is_empty() || name.trim().contains(' ') || has_bare_ampersand(value) {
            return false;
        }
        text = rest;
    }
    true
}

#[test]
fn pages_that_are_not_are_told() {
    let fine = "<!doctype html>\n<a b=\"c\" d=\"e &amp; f\"><path d=\"M1\"/>x &lt; y</a>";
    assert!(offences(fine).is_empty(), "{:?}", offences(fine));
    for wrong in [
        "<a><b></a></b>",
        "<a>",
        "</a>",
        "<a b=c></a>",
        "<a b></a>",
        "<a>x & y</a>",
        "<a>x > y</a>",
        "<a",
        "<a b=\"https://x\"></a>",
        "<script></script>",
        "<img src=\"x\"/>",
    ] {
        assert!(!offences(wrong).is_empty(), "{wrong}");
    }
}
