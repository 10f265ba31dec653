//! Writes an export.

use super::embed::embedded;
use super::{BASE64, EXPIRIES, ExportReport, KV, SERVICES, Sink};
use crate::error::{Error, Result};
use crate::format::codec::to_u64;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::io::Write;
use std::path::Path;

/// How much is gathered before it is written.
const BUFFER_BYTES: usize = 64 << 10;

/// How many bytes are put into base64 at a time: whole groups of three.
const BASE64_BYTES: usize = 3 << 12;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Section {
    Kv,
    Services,
    Expiries,
}

/// Writes an export: it takes first all keys, then all services, then all expiries.
pub struct Writer<'a> {
    to: &'a mut dyn Write,
    buffer: Vec<u8>,
    section: Section,
    /// Nothing stands in it yet.
    is_empty: bool,
    report: ExportReport,
}

impl<'a> Writer<'a> {
    /// Writes to `to`.
    #[must_use]
    pub fn new(to: &'a mut dyn Write) -> Self {
        let mut buffer = Vec::with_capacity(BUFFER_BYTES);
        buffer.extend_from_slice(format!("{{\"{KV}\":{{").as_bytes());
        Writer { to, buffer, section: Section::Kv, is_empty: true, report: ExportReport::default() }
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn finish(mut self) -> Result<ExportReport> {
        if self.section == Section::Kv {
            self.begin(Section::Services)?;
        }
        self.end_section()?;
        self.push(b"}\n")?;
        self.flush()?;
        self.to.flush().map_err(failed)?;
        Ok(self.report)
    }

    /// What stands before a value.
    fn name(&mut self, section: Section, name: &str) -> Result<()> {
        if self.section == Section::Kv && section == Section::Expiries {
            self.begin(Section::Services)?;
        }
        if self.section != section {
            self.begin(section)?;
        }
        self.push(if self.is_empty { b"\n" } else { b",\n" })?;
        self.is_empty = false;
        self.string(name)?;
        self.push(b":")
    }

    fn begin(&mut self, section: Section) -> Result<()> {
        self.end_section()?;
        let name = match section {
            Section::Kv => KV,
            Section::Services => SERVICES,
            Section::Expiries => EXPIRIES,
        };
        (self.section, self.is_empty) = (section, true);
        self.push(format!(",\n\"{name}\":{{").as_bytes())
    }

    fn end_section(&mut self) -> Result<()> {
        self.push(if self.is_empty { b"}" } else { b"\n}" })
    }

    fn string(&mut self, text: &str) -> Result<()> {
        self.push(b"\"")?;
        let mut rest = text.as_bytes();
        while let Some(at) = rest.iter().position(|&b| b < 0x20 || b == b'"' || b == b'\\') {
            let (plain, special) = rest.split_at(at);
            self.push(plain)?;
            let Some((&byte, after)) = special.split_first() else { break };
            self.escape(byte)?;
            rest = after;
        }
        self.push(rest)?;
        self.push(b"\"")
    }

    fn escape(&mut self, byte: u8) -> Result<()> {
        match byte {
            b'"' => self.push(b"\\\""),
            b'\\' => self.push(b"\\\\"),
            0x08 => self.push(b"\\b"),
            b'\t' => self.push(b"\\t"),
            b'\n' => self.push(b"\\n"),
            0x0c => self.push(b"\\f"),
            b'\r' => self.push(b"\\r"),
            _ => self.push(format!("\\u{byte:04x}").as_bytes()),
        }
    }

    fn base64(&mut self, bytes: &[u8]) -> Result<()> {
        self.push(format!("{{\"{BASE64}\":\"").as_bytes())?;
        let mut text = String::new();
        for part in bytes.chunks(BASE64_BYTES) {
            text.clear();
            STANDARD.encode_string(part, &mut text);
            self.push(text.as_bytes())?;
        }
        self.push(b"\"}")
    }

    fn push(&mut self, bytes: &[u8]) -> Result<()> {
        if self.buffer.len() + bytes.len() > BUFFER_BYTES {
            self.flush()?;
        }
        if bytes.len() > BUFFER_BYTES {
            return self.write(bytes);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let buffer = std::mem::take(&mut self.buffer);
        let written = self.write(&buffer);
        self.buffer = buffer;
        self.buffer.clear();
        written
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.report.bytes += to_u64(bytes.len());
        self.to.write_all(bytes).map_err(failed)
    }
}

impl Sink for Writer<'_> {
    fn kv(&mut self, key: &str, value: &[u8]) -> Result<()> {
        self.name(Section::Kv, key)?;
        self.report.kv += 1;
        match str::from_utf8(value) {
            Ok(text) => self.string(text),
            Err(_) => self.base64(value),
        }
    }

    fn service(&mut self, name: &str, data: &[u8]) -> Result<()> {
        self.name(Section::Services, name)?;
        self.report.services += 1;
        match embedded(data) {
            Some(json) => self.push(json.get().as_bytes()),
            None => self.base64(data),
        }
    }

    fn expiry(&mut self, name: &str, expires_at_ms: u64) -> Result<()> {
        self.name(Section::Expiries, name)?;
        self.push(expires_at_ms.to_string().as_bytes())
    }
}

fn failed(e: std::io::Error) -> Error {
    Error::io("write", Path::new("the export"), e)
}
