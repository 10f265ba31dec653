//! The log of a server process: one stream, of the server's events and of the engine's records.
//!
//! The server speaks `tracing`, the engine the `log` facade with fields. Both end in one subscriber, which writes to standard error, a line
//! each, as text or as JSON. The bridge is our own because the usual one drops the fields.

use crate::error::{Error, Result};
use log::kv::{Key, Value, VisitSource};
use std::fmt::Write as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;

/// How the log is written.
///
/// ```
/// use esker::server::{LogFormat, log_to_stderr};
/// assert!(log_to_stderr(LogFormat::Json, "esker=loud").is_err());
/// log_to_stderr(LogFormat::Json, "warn,esker=debug")?;
/// assert!(log_to_stderr(LogFormat::Text, "info").is_err()); // There is one already.
/// # Ok::<(), esker::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Lines for a person.
    #[default]
    Text,
    /// A JSON object a line, for machines.
    Json,
}

/// Writes the log of this process to standard error: what `filter` lets pass, a level for all (`info`) or by the beginning of the
/// name of a module (`warn,esker=debug`).
///
/// For programs that serve and have no subscriber of their own.
///
/// See the example of [`LogFormat`].
///
/// # Errors
/// [`Error::InvalidArgument`] for a filter that is none, or when the process has a subscriber or a logger already.
pub fn log_to_stderr(format: LogFormat, filter: &str) -> Result<()> {
    let filter: Targets = filter
        .parse()
        .map_err(|e| Error::invalid(format!("the filter of the log, {filter:?}: {e}")))?;
    let taken = |e: String| Error::invalid(format!("the process has a log already: {e}"));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        LogFormat::Text => {
            tracing::subscriber::set_global_default(registry.with(lines.with_ansi(false)))
        }
        LogFormat::Json => {
            tracing::subscriber::set_global_default(registry.with(lines.json().flatten_event(true)))
        }
    }
    .map_err(|e| taken(e.to_string()))?;
    log::set_logger(&Bridge).map_err(|e| taken(e.to_string()))?;
    // What is passed on is up to the filter.
    log::set_max_level(log::LevelFilter::Debug);
    Ok(())
}

/// Hands records of the engine on.
struct Bridge;

impl log::Log for Bridge {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        // Other crates that use the facade have nothing to say here.
        metadata.target().starts_with("esker")
    }

    fn log(&self, record: &log::Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let fields = fields_of(record);
        // What has none does not say so.
        let fields = Some(fields.as_str()).filter(|fields| !fields.is_empty());
        let (topic, message) = (record.target(), record.args());
        match record.level() {
            log::Level::Error => {
                tracing::error!(target: "esker::engine", topic, fields, "{message}")
            }
            log::Level::Warn => tracing::warn!(target: "esker::engine", topic, fields, "{message}"),
            log::Level::Info => tracing::info!(target: "esker::engine", topic, fields, "{message}"),
            _ => tracing::debug!(target: "esker::engine", topic, fields, "{message}"),
        }
    }

    fn flush(&self) {}
}

/// `name=value` of all fields.
fn fields_of(record: &log::Record<'_>) -> String {
    struct Fields(String);

    impl<'kvs> VisitSource<'kvs> for Fields {
        fn visit_pair(
            &mut self,
            key: Key<'kvs>,
            value: Value<'kvs>,
        ) -> std::result::Result<(), log::kv::Error> {
            let separator = if self.0.is_empty() { "" } else { " " };
            write!(self.0, "{separator}{key}={value}").map_err(log::kv::Error::from)
        }
    }

    let mut fields = Fields(String::new());
    // A string takes all; a field that cannot be shown ends the list, and the message stays.
    let _ = record.key_values().visit(&mut fields);
    fields.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use std::io;
    use std::sync::Arc;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(buf);
            Ok(buf.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn records_of_the_engine_keep_their_fields() {
        let written = Written::default();
        let writer = written.clone();
        let subscriber = tracing_subscriber::fmt().json().flatten_event(true);
        let subscriber = subscriber.with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            use log::Log as _;
            let fields = [("tables", 3), ("bytes", 7)];
            let record = log::Record::builder()
                .level(log::Level::Warn)
                .target("esker::open")
                .args(format_args!("opened"))
                .key_values(&fields)
                .build();
            Bridge.log(&record);
            let foreign = log::Record::builder().target("other").args(format_args!("x")).build();
            Bridge.log(&foreign);
        });
        let text = String::from_utf8(written.0.lock().clone()).expect("UTF-8");
        let line: serde_json::Value = serde_json::from_str(text.trim()).expect("one line of JSON");
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["message"], "opened");
        assert_eq!(line["topic"], "esker::open");
        assert_eq!(line["fields"], "tables=3 bytes=7");
    }
}
