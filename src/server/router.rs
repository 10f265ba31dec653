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
