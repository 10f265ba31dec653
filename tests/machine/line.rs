//! What the child tells its parent, a line each, with the moment at which it says so.
//!
//! *Tickets* order what the threads of a child do: every operation draws one
//! when it has returned. An operation that saw a ticket drawn before it began
//! comes after that ticket's operation in the commit order.

use std::time::{SystemTime, UNIX_EPOCH};

/// An operation that returned `Ok`.
#[derive(Debug, Clone, Copy)]
pub struct Ack {
    pub thread: usize,
    pub n: u64,
    /// Tickets below this had been drawn when it began.
    pub began: u64,
    /// Its own ticket.
    pub ticket: u64,
    /// `Ok` meant: durable, with all commits before it.
    pub is_durable: bool,
}

#[derive(Debug, Clone)]
pub enum Line {
    /// The child runs and is about to open the database.
    Ready,
    /// The database is open.
    Open,
    Ack(Ack),
    /// All operations with tickets below this are durable.
    Durable(u64),
    /// What an `open` showed, as a digest.
    Shown(u64),
    /// A call failed.
    Failed(String),
    /// It panicked: it found something that must not be.
    Panicked(String),
}

/// Microseconds since the epoch, by the clock that parent and child share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Micros(u64);

impl Micros {
    pub fn now() -> Micros {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock that is set");
        Micros(u64::try_from(since.as_micros()).expect("not that late"))
    }
}

impl Line {
    /// The line, said at `at`.
    pub fn write(&self, at: Micros) -> String {
        format!("{} {}", at.0, self.words())
    }

    /// The inverse of [`Line::write`], without the end of the line.
    pub fn read(line: &str) -> Option<(Micros, Line)> {
        let (at, words) = line.split_once(' ')?;
        Some((Micros(at.parse().ok()?), Line::from_words(words)?))
    }

    fn words(&self) -> String {
        match self {
            Line::Ready => "ready\n".into(),
            Line::Open => "open\n".into(),
            Line::Ack(Ack { thread, n, began, ticket, is_durable }) => {
                format!("ack {thread} {n} {began} {ticket} {is_durable}\n")
            }
            Line::Durable(below) => format!("durable {below}\n"),
            Line::Shown(digest) => format!("shown {digest}\n"),
            Line::Failed(text) => format!("failed {}\n", text.replace('\n', " ")),
            Line::Panicked(text) => format!("panicked {}\n", text.replace('\n', " ")),
        }
    }

    fn from_words(line: &str) -> Option<Line> {
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        match kind {
            "ready" => Some(Line::Ready),
            "open" => Some(Line::Open),
            "ack" => {
                let words: Vec<&str> = rest.split(' ').collect();
                let [thread, n, began, ticket, is_durable] = words.as_slice() else { return None };
                Some(Line::Ack(Ack {
                    thread: thread.parse().ok()?,
                    n: n.parse().ok()?,
                    began: began.parse().ok()?,
                    ticket: ticket.parse().ok()?,
                    is_durable: is_durable.parse().ok()?,
                }))
            }
            "durable" => Some(Line::Durable(rest.parse().ok()?)),
            "shown" => Some(Line::Shown(rest.parse().ok()?)),
            "failed" => Some(Line::Failed(rest.into())),
            "panicked" => Some(Line::Panicked(rest.into())),
            _ => None,
        }
    }
}
