//! Why a request was not done, as an answer.

use crate::error::Error;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::io::ErrorKind;

/// A request that was not done: its status, and for a person what was wrong and what to do.
#[derive(Debug, Clone)]
pub struct Failure {
    pub status: StatusCode,
    pub message: String,
}

impl Failure {
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Failure { status, message: message.into() }
    }

    /// 400.
    pub fn bad(message: impl Into<String>) -> Self {
        Failure::new(StatusCode::BAD_REQUEST, message)
    }

    /// 413.
    pub fn too_large(what: &str, limit_bytes: u64) -> Self {
        let message =
            format!("{what} is larger than {limit_bytes} bytes, the limit of this server");
        Failure::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    }

    /// 503: it may be done later.
    pub fn busy(message: impl Into<String>) -> Self {
        Failure::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }

    /// Of a call that had to do with a backup: what is damaged then is the backup, and what is not there, too.
    pub fn of_backup(e: Error) -> Self {
        let status = match &e {
            Error::Corruption { .. } | Error::UnsupportedFormat { .. } => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Error::Io { op: "open" | "stat", source, .. }
                if source.kind() == ErrorKind::NotFound =>
            {
                StatusCode::NOT_FOUND
            }
            _ => return Failure::from(e),
        };
        Failure::new(status, e.to_string())
    }

    /// What it is called in the answer.
    fn error(&self) -> &'static str {
        self.status.canonical_reason().unwrap_or("Error")
    }
}

impl From<Error> for Failure {
    fn from(e: Error) -> Self {
        let status = match &e {
            Error::KeyNotFound | Error::ServiceNotFound => StatusCode::NOT_FOUND,
            Error::ServiceExpired => StatusCode::GONE,
            Error::InvalidArgument { .. } | Error::InvalidImport { .. } => StatusCode::BAD_REQUEST,
            Error::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Error::Conflict => StatusCode::CONFLICT,
            Error::Closed | Error::Cancelled | Error::Poisoned { .. } => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Error::Io { source, .. }
                if matches!(
                    source.kind(),
                    ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
                ) =>
            {
                StatusCode::INSUFFICIENT_STORAGE
            }
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Failure::new(status, e.to_string())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = serde_json::json!({ "error": self.error(), "message": self.message });
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer realm=\"esker\"");
            headers.insert(header::WWW_AUTHENTICATE, scheme);
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::path::Path;
    use std::sync::Arc;

    #[test]
    fn each_error_has_its_status() {
        let io = |kind: ErrorKind| Error::io("open", Path::new("x"), kind.into());
        let poisoned = Error::Poisoned { cause: Arc::new(io(ErrorKind::Other)) };
        let indeterminate = Error::Indeterminate { cause: Arc::new(io(ErrorKind::Other)) };
        let damaged = || Error::corruption(Path::new("x"), 1, "flipped");
        for (error, status) in [
            (Error::KeyNotFound, 404),
            (Error::ServiceNotFound, 404),
            (Error::ServiceExpired, 410),
            (Error::invalid("x"), 400),
            (Error::Conflict, 409),
            (Error::Closed, 503),
            (poisoned, 503),
            (indeterminate, 500),
            (damaged(), 500),
            (io(ErrorKind::NotFound), 500),
            (io(ErrorKind::StorageFull), 507),
            (io(ErrorKind::QuotaExceeded), 507),
        ] {
            assert_eq!(Failure::from(error.clone()).status.as_u16(), status, "{error}");
        }
        assert_eq!(Failure::of_backup(damaged()).status.as_u16(), 422);
        assert_eq!(Failure::of_backup(io(ErrorKind::NotFound)).status.as_u16(), 404);
        let full = Error::io("write", Path::new("x"), io::Error::from(ErrorKind::StorageFull));
        assert_eq!(Failure::of_backup(full).status.as_u16(), 507);
    }
}
