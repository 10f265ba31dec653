//! The limits of an engine, for what is imported.

use super::{KV_PREFIX, SERVICE_PREFIX, check_key, check_value};
use crate::error::Result;
use crate::json::Sink;

/// Lets nothing through to a sink that is too large to be stored (INV-2 of `engine`).
pub struct Checked<'a>(pub &'a mut dyn Sink);

impl Sink for Checked<'_> {
    fn kv(&mut self, key: &str, value: &[u8]) -> Result<()> {
        check_key(KV_PREFIX, key)?;
        check_value(value)?;
        self.0.kv(key, value)
    }

    fn service(&mut self, name: &str, data: &[u8]) -> Result<()> {
        check_key(SERVICE_PREFIX, name)?;
        check_value(data)?;
        self.0.service(name, data)
    }

    fn expiry(&mut self, name: &str, expires_at_ms: u64) -> Result<()> {
        check_key(SERVICE_PREFIX, name)?;
        self.0.expiry(name, expires_at_ms)
    }
}
