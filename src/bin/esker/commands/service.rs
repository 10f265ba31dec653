//! `service`: what registers itself, for a time.

use super::value::Given;
use crate::duration;
use crate::failure::{Failure, Kind, Result};
use crate::place::Global;
use crate::text;
use clap::{Args, Subcommand};
use esker::{Engine, LsmEngine};
use serde_json::json;
use std::time::Duration;

/// Services: names with data that live for a time.
#[derive(Debug, Subcommand)]
pub enum Service {
    Get(Get),
    Set(Set),
    Delete(Delete),
    List(List),
}

/// Print the data of a service, byte for byte.
#[derive(Debug, Args)]
pub struct Get {
    /// The service.
    name: String,
}

/// Register a service, in place of what was there.
#[derive(Debug, Args)]
pub struct Set {
    /// The service.
    name: String,
    #[command(flatten)]
    given: Given,
    /// For how long: 500ms, 30s, 5m, 1h, 2d.
    #[arg(long, value_name = "SPAN", default_value = "30s", value_parser = duration::parse)]
    ttl: Duration,
}

/// Remove services; those that are not there are fine.
#[derive(Debug, Args)]
pub struct Delete {
    /// The services.
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
}

/// Print the names of the services that are alive, a line each.
#[derive(Debug, Args)]
pub struct List {}

impl Service {
    /// Does it.
    ///
    /// # Errors
    /// There is no such service, or it has expired; what the database fails with.
    pub fn run(&self, global: &Global) -> Result<()> {
        match self {
            Service::Get(get) => get.run(global),
            Service::Set(set) => set.run(global),
            Service::Delete(delete) => delete.run(global),
            Service::List(list) => list.run(global),
        }
    }
}

/// The name of a service that the argument `text` is.
fn name_of(text: &str) -> Result<String> {
    let bytes = text::unescape(text).map_err(|wrong| wrong.of("name", Kind::Usage))?;
    String::from_utf8(bytes).map_err(|_| {
        Failure::new(Kind::Usage, format!("the name {text} is not UTF-8"))
            .remedy("name it in UTF-8")
    })
}

impl Get {
    fn run(&self, global: &Global) -> Result<()> {
        let name = name_of(&self.name)?;
        let data = LsmEngine::new(global.open_to_read()?).get_service(&name)?;
        let output = global.output();
        if !output.is_json() {
            return output.bytes(&data);
        }
        output.answer("", &json!({ "name": name, "data": text::to_json(&data) }))
    }
}

impl Set {
    fn run(&self, global: &Global) -> Result<()> {
        let (name, data) = (name_of(&self.name)?, self.given.read()?);
        LsmEngine::new(global.open_to_fill()?).set_service(&name, &data, self.ttl)?;
        let ttl_ms = u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX);
        global.output().confirm(&json!({ "name": name, "bytes": data.len(), "ttl_ms": ttl_ms }))
    }
}

impl Delete {
    fn run(&self, global: &Global) -> Result<()> {
        let names = self.names.iter().map(|name| name_of(name)).collect::<Result<Vec<_>>>()?;
        let engine = LsmEngine::new(global.open_to_change()?);
        names.iter().try_for_each(|name| engine.delete_service(name))?;
        global.output().confirm(&json!({ "names": names.len() }))
    }
}

impl List {
    #[expect(clippy::unused_self, reason = "as its siblings, which have arguments")]
    fn run(&self, global: &Global) -> Result<()> {
        let names = LsmEngine::new(global.open_to_read()?).list_services()?;
        let mut lines = global.output().lines();
        for name in names {
            let escaped = text::escape(name.as_bytes());
            lines.entry(|to| write!(to, "{escaped}"), || json!({ "name": name }))?;
        }
        lines.finish()
    }
}
