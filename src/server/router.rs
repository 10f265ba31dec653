//! Which request goes where, and what stands around all of them.
//!
//! From outside in: the trace and the counts, the guard (host, origin, token), and for what should be quick the limit
//! and the time of a request. What can take long has its bounds elsewhere: in `calls`, and in the pace of its body.
//!
//! INV-1: every route is in [`Routes::listed`], by construction; a test compares it with the OpenAPI document.

use super::app::App;
use super::failure::Failure;
use super::guard::guard;
use super::routes::{backups, batch, health, kv, services, transfer};
use super::{openapi, page, status};
use axum::error_handling::HandleErrorLayer;
use axum::extract::{MatchedPath, Request, State};
use axum::handler::Handler;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use axum::{BoxError, Router};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tower::ServiceBuilder;

/// Requests at a time beyond which more are refused at once.
const REQUESTS_MAX: usize = 4096;

/// Routes, and which they are.
pub struct Routes {
    router: Router<Arc<App>>,
    /// Method and path of each.
    pub listed: Vec<(Method, &'static str)>,
}

impl Routes {
    fn new() -> Self {
        Routes { router: Router::new(), listed: Vec::new() }
    }

    fn on<H, T>(mut self, method: Method, path: &'static str, handler: H) -> Self
    where
        H: Handler<T, Arc<App>>,
        T: 'static,
    {
        let filter = MethodFilter::try_from(method.clone()).expect("a method with a filter");
        self.router = self.router.route(path, on(filter, handler));
        self.listed.push((method, path));
        self
    }
}

/// What should be quick.
fn quick() -> Routes {
    Routes::new()
        .on(Method::GET, "/", page::show)
        .on(Method::GET, "/openapi.json", openapi::show)
        .on(Method::GET, "/health", health::health)
        .on(Method::GET, "/metrics", health::metrics)
        .on(Method::GET, "/status", status::show)
        .on(Method::GET, "/events", status::events)
        .on(Method::GET, "/backups", backups::list)
        .on(Method::GET, "/kv/{*key}", kv::get)
        .on(Method::PUT, "/kv/{*key}", kv::set)
        .on(Method::DELETE, "/kv/{*key}", kv::delete)
        .on(Method::PUT, "/register", services::register)
        .on(Method::PUT, "/heartbeat/{name}", services::heartbeat)
        .on(Method::DELETE, "/deregister/{name}", services::deregister)
        .on(Method::GET, "/services/{name}", services::get)
        .on(Method::POST, "/batch/kv/set", batch::set)
        .on(Method::POST, "/batch/kv/delete", batch::delete)
}

/// What can take long.
fn long() -> Routes {
    Routes::new()
        .on(Method::POST, "/backup", backups::make)
        .on(Method::POST, "/restore", backups::restore)
        .on(Method::POST, "/backups/{name}/verify", backups::verify)
        .on(Method::GET, "/export", transfer::export)
        .on(Method::POST, "/import", transfer::import)
        .on(Method::GET, "/kv", kv::list)
        .on(Method::GET, "/kv/", kv::list)
        .on(Method::GET, "/services", services::list)
        .on(Method::GET, "/services/", services::list)
        .on(Method::POST, "/batch/kv/get", batch::get)
}

/// Method and path of all routes.
#[cfg(test)]
pub fn listed() -> Vec<(Method, &'static str)> {
    [quick().listed, long().listed].concat()
}

/// All routes over `app`, with what stands around them.
pub fn router(app: &Arc<App>) -> Router {
    let limits = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(refused))
        .load_shed()
        .concurrency_limit(REQUESTS_MAX)
        .timeout(app.config.request_timeout);
    let quick = quick().router.layer(limits);
    quick
        .merge(long().router)
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(from_fn_with_state(Arc::clone(app), guard))
        .layer(from_fn_with_state(Arc::clone(app), observe))
        .with_state(Arc::clone(app))
}

/// Counts a request and writes it to the log.
async fn observe(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let route = route.unwrap_or_else(|| "none".to_owned());
    let counted = InFlight::new(&app);
    let mut response = next.run(request).await;
    drop(counted);
    let (status, took) = (response.status(), begun.elapsed());
    app.traffic.note(method.as_str(), &route, status.as_u16(), took);
    told(&method, &route, status, took);
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A request whose answer has not begun, be it that nobody waits for it any more.
struct InFlight<'a>(&'a App);

impl<'a> InFlight<'a> {
    fn new(app: &'a App) -> Self {
        app.traffic.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(app)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.traffic.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Into the log: never a key, a value or a name, which may be secret; the route alone.
fn told(method: &Method, route: &str, status: StatusCode, took: Duration) {
    let (status, took_us) = (status.as_u16(), u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    if status >= 500 {
        tracing::warn!(target: "esker::http", %method, route, status, took_us, "answered");
    } else {
        tracing::debug!(target: "esker::http", %method, route, status, took_us, "answered");
    }
}

/// What the limits say, as a failure.
async fn refused(e: BoxError) -> Response {
    if e.is::<tower::timeout::error::Elapsed>() {
        let message = "it took too long; what it was to change may be changed, or not";
        return Failure::new(StatusCode::GATEWAY_TIMEOUT, message).into_response();
    }
    Failure::busy("too many requests at once; try again").into_response()
}

async fn no_route(request: Request) -> Failure {
    let message =
        format!("there is no {}; see /openapi.json for what there is", request.uri().path());
    Failure::new(StatusCode::NOT_FOUND, message)
}

async fn no_method(request: Request) -> Failure {
    let (method, path) = (request.method(), request.uri().path());
    let message = format!("{path} takes no {method}; the header Allow says what it takes");
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, message)
}

/// What only a disk that fails shows: the rest is tested over sockets (`tests/http`).
#[cfg(all(test, feature = "sim"))]
mod tests {
    use super::super::app::Phase;
    use super::super::config::ServerConfig;
    use super::super::token::Token;
    use super::*;
    use crate::db::Db;
    use crate::fs::sim::{CallKind, Fault, FaultPlan, SimFs};
    use crate::lsm_engine::LsmEngine;
    use crate::options::Options;
    use axum::body::Body;
    use tower::ServiceExt as _;

    const EIO: i32 = 5;

    /// A server on a simulated disk.
    fn on(fs: &SimFs) -> (Arc<App>, tokio::sync::watch::Sender<Phase>) {
        let options = Options { disk_reserve_bytes: 0, ..Options::default() };
        let db = Db::open_with_fs(Arc::new(fs.clone()), "/db", options).expect("opens");
        let (sender, phase) = tokio::sync::watch::channel(Phase::Running);
        let engine = Arc::new(LsmEngine::new(db.clone()));
        let token = Some(Token::new("secret").expect("a token"));
        let config = ServerConfig { token, ..ServerConfig::default() };
        (Arc::new(App::over(config, phase, Arc::default(), engine, Some(db))), sender)
    }

    async fn ask(app: &Arc<App>, method: &str, path: &str, token: &str) -> (u16, String) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("authorization", format!("Bearer {token}"))
            .body(Body::from("v"))
            .expect("a request");
        let reply = router(app).oneshot(request).await.expect("an answer");
        let status = reply.status().as_u16();
        let body = axum::body::to_bytes(reply.into_body(), 1 << 20).await.expect("a body");
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_failed_sync_is_told_by_health_and_ends_writes() {
        let fs = SimFs::new();
        let (app, _phase) = on(&fs);
        assert_eq!(ask(&app, "PUT", "/kv/a?raw", "secret").await.0, 200);
        assert_eq!(ask(&app, "GET", "/health", "secret").await.0, 200);
        fs.fail(FaultPlan::once(1, Fault::Errno(EIO)).only(CallKind::SyncData));
        let (status, text) = ask(&app, "PUT", "/kv/b?raw", "secret").await;
        assert!(status == 500 && text.contains("may or may not survive"), "{status} {text}");
        let (status, text) = ask(&app, "PUT", "/kv/c?raw", "secret").await;
        assert!(status == 503 && text.contains("no more writes"), "{status} {text}");
        let (status, text) = ask(&app, "GET", "/health", "secret").await;
        assert!(status == 503 && text.contains("/db/"), "{status} {text}");
        let (status, text) = ask(&app, "GET", "/health", "wrong").await;
        assert!(status == 503 && !text.contains("/db/"), "{status} {text}");
        assert_eq!(ask(&app, "GET", "/kv/a", "secret").await.0, 200, "reads go on");
        let (_, metrics) = ask(&app, "GET", "/metrics", "secret").await;
        assert!(metrics.contains("\nesker_poisoned 1\n"), "{metrics}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_full_disk_is_507_until_there_is_room() {
        let fs = SimFs::new();
        let (app, _phase) = on(&fs);
        assert_eq!(ask(&app, "PUT", "/kv/a?raw", "secret").await.0, 200);
        // Nothing that Snappy makes small: more than the log has claimed ahead.
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            state.to_be_bytes()[0]
        };
        let large: Vec<u8> = (0..1 << 20).map(|_| next()).collect();
        let text: String = large.iter().map(|byte| format!("{byte:02x}")).collect();
        let writes = [
            ("PUT", "/kv/large?raw", large),
            ("PUT", "/kv/text", format!(r#"{{"value":"{text}"}}"#).into()),
            ("POST", "/batch/kv/set", format!(r#"{{"items":{{"batch":"{text}"}}}}"#).into()),
            ("PUT", "/register", format!(r#"{{"name":"web","note":"{text}"}}"#).into()),
            ("POST", "/import", format!(r#"{{"kv":{{"imported":"{text}"}}}}"#).into()),
        ];
        let send = |(method, path, body): (&str, &str, Vec<u8>)| {
            let request = Request::builder().method(method).uri(path);
            let request = request.header("host", "localhost");
            let request = request.header("authorization", "Bearer secret");
            let request = request.body(Body::from(body)).expect("a request");
            let app = Arc::clone(&app);
            async move { router(&app).oneshot(request).await.expect("an answer").status().as_u16() }
        };
        fs.set_capacity(Some(0));
        for write in writes.clone() {
            let path = write.1;
            assert_eq!(send(write).await, 507, "{path}");
        }
        assert_eq!(ask(&app, "GET", "/kv/a", "secret").await.0, 200);
        for path in ["/kv/large", "/kv/text", "/kv/batch", "/services/web", "/kv/imported"] {
            assert_eq!(ask(&app, "GET", path, "secret").await.0, 404, "{path}");
        }
        fs.set_capacity(None);
        for write in writes {
            let path = write.1;
            assert_eq!(send(write).await, 200, "there is room again: {path}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_server_that_ends_is_not_ready() {
        let fs = SimFs::new();
        let (app, phase) = on(&fs);
        phase.send_replace(Phase::Draining);
        let (status, text) = ask(&app, "GET", "/health", "secret").await;
        assert!(status == 503 && text.contains("shutting down"), "{status} {text}");
        app.engine.close().expect("closed");
        assert_eq!(ask(&app, "GET", "/kv/a", "secret").await.0, 503);
    }
}
