//! Who may ask: the host asked for, where a page that asks comes from, the token.
//!
//! A browser runs what any web page says, with the user's access to this machine. Three rules keep such a page
//! from driving a server that listens on 127.0.0.1 without a token:
//!
//! INV-1: the host asked for is an address, `localhost`, or a name that was configured. A page that has bent its own
//! name to this address (DNS rebinding) asks for that name.
//! INV-2: where the request says which page it comes from (`Origin`, which browsers add to everything that changes something,
//! `Sec-Fetch-Site`), that is a page of this server.
//! INV-3: where there is a token, every request brings it, but for those to [`OPEN`], which have nothing of the store's.

use super::app::App;
use super::failure::Failure;
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::IpAddr;
use std::sync::Arc;

/// What needs no token: the page, which asks for it, its description, and whether the server is ready.
const OPEN: &[&str] = &["/", "/health", "/openapi.json"];

/// Lets `request` pass, or says why not.
pub async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    match check(&app, &request) {
        Ok(()) => next.run(request).await,
        Err(failure) => failure.into_response(),
    }
}

fn check(app: &App, request: &Request) -> Result<(), Failure> {
    let host = host_of(request)?;
    if let Some(host) = &host {
        check_host(host, &app.config.hosts)?;
    }
    check_origin(request, host.as_ref())?;
    if OPEN.contains(&request.uri().path()) || is_authorized(app, request.headers()) {
        return Ok(());
    }
    let message = "a token is needed: send it as `Authorization: Bearer TOKEN`";
    Err(Failure::new(StatusCode::UNAUTHORIZED, message))
}

/// Whether `headers` bring the token, if one is set.
pub fn is_authorized(app: &App, headers: &HeaderMap) -> bool {
    let Some(token) = &app.config.token else { return true };
    let mut brought = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(brought), None) = (brought.next(), brought.next()) else { return false };
    let brought = brought.as_bytes();
    let Some((scheme, rest)) = brought.split_at_checked(7) else { return false };
    scheme.eq_ignore_ascii_case(b"bearer ") && token.is(rest.trim_ascii())
}

/// The host that `request` asks for; `None` where a request of HTTP/1.0 names none.
fn host_of(request: &Request) -> Result<Option<Authority>, Failure> {
    let wrong = |what: &str| Failure::bad(format!("{what} in the request"));
    let mut named = request.headers().get_all(header::HOST).iter();
    let host = match (named.next(), named.next()) {
        (None, _) if request.version() == Version::HTTP_10 => None,
        (None, _) => return Err(wrong("no host")),
        (Some(_), Some(_)) => return Err(wrong("more than one host")),
        (Some(host), None) => {
            let host = host.to_str().ok().and_then(|host| host.parse().ok());
            Some(host.ok_or_else(|| wrong("a host that is none"))?)
        }
    };
    // A request as to a proxy names one as well: it is the one that counts, and both must pass.
    match (request.uri().authority(), host) {
        (Some(asked), Some(host)) if !same(asked, &host) => Err(wrong("two different hosts")),
        (Some(asked), _) => Ok(Some(asked.clone())),
        (None, host) => Ok(host),
    }
}

fn same(one: &Authority, other: &Authority) -> bool {
    one.as_str().eq_ignore_ascii_case(other.as_str())
}

/// INV-1.
fn check_host(host: &Authority, allowed: &[String]) -> Result<(), Failure> {
    let name = host.host().trim_start_matches('[').trim_end_matches(']');
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let is_local = name == "localhost" || name.ends_with(".localhost");
    let is_allowed = allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(&name));
    if is_local || is_allowed || name.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    let message = format!(
        "this server does not go by the name {name:?}; ask by its address, or start it with `--host {name}`"
    );
    Err(Failure::new(StatusCode::FORBIDDEN, message))
}

/// INV-2.
fn check_origin(request: &Request, host: Option<&Authority>) -> Result<(), Failure> {
    let headers = request.headers();
    let refused = |what: &str| {
        let message = format!("requests of other web pages are not taken: {what}");
        Err(Failure::new(StatusCode::FORBIDDEN, message))
    };
    for origin in headers.get_all(header::ORIGIN) {
        let origin = origin.to_str().unwrap_or("?");
        let (scheme, authority) = origin.split_once("://").unwrap_or(("", ""));
        let authority = authority.parse::<Authority>().ok();
        let is_ours =
            matches!((&authority, host), (Some(origin), Some(host)) if same(origin, host));
        if !is_ours || !matches!(scheme, "http" | "https") {
            return refused(&format!("the origin is {origin:?}"));
        }
    }
    let is_navigation = headers.get("sec-fetch-mode").is_some_and(|mode| mode == "navigate");
    for site in headers.get_all("sec-fetch-site") {
        let is_ours = site == "same-origin" || site == "none";
        // A link to the page may be followed from anywhere.
        let is_followed = is_navigation && request.uri().path() == "/";
        if !(is_ours || is_followed) {
            return refused("the site is another one");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn request(uri: &str, headers: &[(&str, &str)]) -> Request {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Body::empty()).expect("a request")
    }

    fn passes(uri: &str, headers: &[(&str, &str)]) -> bool {
        let request = request(uri, headers);
        let allowed = ["store.example".to_string()];
        host_of(&request)
            .and_then(|host| {
                host.as_ref().map_or(Ok(()), |host| check_host(host, &allowed))?;
                check_origin(&request, host.as_ref())
            })
            .is_ok()
    }

    #[test]
    fn hosts() {
        for host in [
            "localhost",
            "LOCALHOST:8500",
            "127.0.0.1:8500",
            "[::1]:8500",
            "10.1.2.3",
            "a.localhost",
            "store.example:80",
            "STORE.example",
            "localhost.",
        ] {
            assert!(passes("/kv/", &[("host", host)]), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "xlocalhost",
            "a b",
            "",
            "127.0.0.1@evil.example:80x",
            "store.example.evil.example",
        ] {
            assert!(!passes("/kv/", &[("host", host)]), "{host}");
        }
        assert!(!passes("/kv/", &[]), "HTTP/1.1 names a host");
        assert!(!passes("/kv/", &[("host", "localhost"), ("host", "localhost")]));
        assert!(!passes("http://evil.example/kv/", &[("host", "localhost")]));
        assert!(!passes("http://evil.example/kv/", &[("host", "evil.example")]));
        assert!(passes("http://localhost/kv/", &[("host", "localhost")]));
    }

    #[test]
    fn origins() {
        let with = |origin: &str| passes("/kv/", &[("host", "localhost:8500"), ("origin", origin)]);
        assert!(with("http://localhost:8500") && with("https://localhost:8500"));
        for origin in [
            "http://localhost",
            "http://localhost:8501",
            "http://evil.example",
            "null",
            "",
            "file://",
            "ftp://localhost:8500",
            "http://localhost:8500.evil.example",
        ] {
            assert!(!with(origin), "{origin}");
        }
        let site = |uri: &str, site: &str, mode: &str| {
            passes(
                uri,
                &[("host", "localhost"), ("sec-fetch-site", site), ("sec-fetch-mode", mode)],
            )
        };
        assert!(site("/export", "same-origin", "cors") && site("/export", "none", "navigate"));
        assert!(site("/", "cross-site", "navigate"));
        assert!(!site("/export", "cross-site", "navigate") && !site("/", "cross-site", "no-cors"));
        assert!(!site("/export", "same-site", "cors"));
    }
}
