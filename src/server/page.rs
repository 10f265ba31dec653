//! The status page: one file, nothing fetched from elsewhere.
//!
//! INV-1: the policy that it is sent with lets run and style only what has this answer's own random number, and lets it talk to this server
//! alone: what somebody has smuggled into a key, should it ever get into the page as markup, does nothing.

use super::answer::Answer;
use super::failure::Failure;
use super::routes::kv::Nothing;
use axum::body::Body;
use axum::extract::Query;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::Response;

const PAGE: &str = include_str!("page/index.html");

/// Where in the page the random number goes.
const NONCE: &str = "{{nonce}}";

/// `GET /`.
pub async fn show(uri: Uri) -> Answer {
    let Nothing {} = Query::try_from_uri(&uri)
        .map(|query| query.0)
        .map_err(|_| Failure::bad("the page takes no parameters"))?;
    let mut random = [0_u8; 16];
    let failed = |e: String| Failure::new(StatusCode::INTERNAL_SERVER_ERROR, e);
    getrandom::fill(&mut random).map_err(|e| failed(format!("no random numbers: {e}")))?;
    let nonce: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let mut response = Response::new(Body::from(PAGE.replace(NONCE, &nonce)));
    let headers = response.headers_mut();
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, html);
    let policy = HeaderValue::try_from(policy).map_err(|e| failed(e.to_string()))?;
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_fetches_nothing_from_elsewhere() {
        let lower = PAGE.to_ascii_lowercase();
        for foreign in [
            "http://",
            "https://",
            "//cdn",
            "@import",
            "src=",
            "<link",
            "url(",
            "innerhtml",
            "eval(",
        ] {
            let found = lower.replace("http://www.w3.org/2000/svg", "").contains(foreign);
            assert!(!found, "{foreign}");
        }
        assert_eq!(PAGE.matches(NONCE).count(), 2, "one style and one script");
        assert_eq!(lower.matches("<script").count(), 1);
        assert!(
            !lower.contains(" style=") && !lower.contains(" onclick="),
            "the policy forbids them"
        );
    }
}
