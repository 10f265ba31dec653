//! What requests came to: how many, with which status, how long they took, and who is connected.

use crate::histogram::{Histogram, Latency};
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// A route and the method.
type Key = (&'static str, String);

/// Counts of one route. Routes and methods are a few, whatever is asked for: what has no route counts as one.
#[derive(Debug, Default)]
pub struct Route {
    /// How long until the head of the answer.
    latency: Histogram,
    /// By the first digit of the status.
    statuses: [AtomicU64; 6],
}

/// What is counted of all requests.
#[derive(Debug, Default)]
pub struct Traffic {
    routes: RwLock<BTreeMap<Key, Arc<Route>>>,
    /// Requests whose answer has not begun.
    pub in_flight: AtomicUsize,
    /// Connections that are open.
    pub connections: AtomicUsize,
    /// Connections that were taken.
    pub accepted: AtomicU64,
    /// Idle connections that were closed to make room.
    pub evicted: AtomicU64,
    /// Who looks at the status as it changes.
    pub watchers: AtomicUsize,
}

/// What a route came to.
#[derive(Debug, Clone)]
pub struct RouteCounts {
    pub method: &'static str,
    pub route: String,
    pub latency: Latency,
    /// Class of the status (2 is 200 to 299) and count, of those that occurred.
    pub statuses: Vec<(u8, u64)>,
}

/// The methods that are told apart.
const METHODS: &[&str] = &["GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS", "PATCH"];

impl Traffic {
    /// Notes an answer of `status` to `method` on `route`.
    pub fn note(&self, method: &str, route: &str, status: u16, took: Duration) {
        let method = METHODS.iter().find(|known| **known == method).copied().unwrap_or("other");
        let key = (method, route.to_owned());
        let known = self.routes.read().get(&key).map(Arc::clone);
        let counts =
            known.unwrap_or_else(|| Arc::clone(self.routes.write().entry(key).or_default()));
        counts.latency.record(took);
        let class = counts.statuses.get(usize::from(status / 100)).unwrap_or(&counts.statuses[0]);
        class.fetch_add(1, Ordering::Relaxed);
    }

    /// What all of them came to.
    pub fn counts(&self) -> Vec<RouteCounts> {
        let routes = self.routes.read();
        let counts = routes.iter().map(|((method, route), counts)| {
            let statuses = counts.statuses.iter().zip(0_u8..);
            let statuses = statuses.map(|(count, class)| (class, count.load(Ordering::Relaxed)));
            RouteCounts {
                method,
                route: route.clone(),
                latency: counts.latency.snapshot(),
                statuses: statuses.filter(|(_, count)| *count > 0).collect(),
            }
        });
        counts.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_and_statuses_are_few() {
        let traffic = Traffic::default();
        for n in 0..100 {
            traffic.note(&format!("M{n}"), "none", 999, Duration::from_millis(1));
        }
        traffic.note("GET", "/kv/{*key}", 200, Duration::from_millis(1));
        traffic.note("GET", "/kv/{*key}", 404, Duration::from_millis(3));
        let counts = traffic.counts();
        assert_eq!(counts.len(), 2);
        assert_eq!((counts[0].method, &counts[0].statuses[..]), ("GET", &[(2, 1), (4, 1)][..]));
        assert_eq!(counts[0].latency.count, 2);
        assert_eq!((counts[1].method, &counts[1].statuses[..]), ("other", &[(0, 100)][..]));
    }
}
