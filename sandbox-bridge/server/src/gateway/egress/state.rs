//! What the bridge remembers of one sandbox's way out: counters, and what was refused, on its way to the session.
//!
//! Refusals are counted by place and reason; the edge is told the counts, which only rise, so a report that comes twice changes
//! nothing. Kept in the hub's sandbox and forgotten with it.

use super::reason::Refused;
use crate::backoff::Backoff;
use crate::edge::EdgeClient;
use crate::provider::{SandboxRecord, SessionOwner};
use protocol::bridge::EgressReport;
use protocol::id::SandboxId;
use protocol::limit::EGRESS_DENIALS_MAX;
use protocol::timeline::EgressDenial;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Shortest time between two reports of one sandbox.
const REPORT_PAUSE: Duration = Duration::from_secs(1);
/// Connections of one sandbox that are being made at a time.
const CONNECTING_MAX: usize = 16;
/// Where refusals are counted once there are too many places to tell apart.
const OTHER_PLACES: &str = "other hosts";

/// What went out and came in.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    connections: AtomicU64,
    denials: AtomicU64,
    sent_bytes: AtomicU64,
    received_bytes: AtomicU64,
}

/// [`Counters`] at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EgressCounts {
    /// Connections that were made.
    pub connections: u64,
    /// Connections and requests that were refused.
    pub denials: u64,
    /// Bytes from the sandbox.
    pub sent_bytes: u64,
    /// Bytes to the sandbox.
    pub received_bytes: u64,
}

impl Counters {
    pub(super) fn add_connection(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn add_sent(&self, count: usize) {
        self.sent_bytes.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(super) fn add_received(&self, count: usize) {
        self.received_bytes.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> EgressCounts {
        EgressCounts {
            connections: self.connections.load(Ordering::Relaxed),
            denials: self.denials.load(Ordering::Relaxed),
            sent_bytes: self.sent_bytes.load(Ordering::Relaxed),
            received_bytes: self.received_bytes.load(Ordering::Relaxed),
        }
    }
}

/// One sandbox's way out.
#[derive(Debug)]
pub struct SandboxEgress {
    pub(crate) counters: Arc<Counters>,
    /// Held while a name is resolved and a connection made.
    pub(super) connecting: Semaphore,
    denials: Arc<Mutex<DenialLog>>,
}

impl Default for SandboxEgress {
    fn default() -> Self {
        Self { counters: Arc::default(), connecting: Semaphore::new(CONNECTING_MAX), denials: Arc::default() }
    }
}

impl SandboxEgress {
    /// What went out and came in so far.
    #[must_use]
    pub fn counts(&self) -> EgressCounts {
        self.counters.read()
    }

    /// Counts a refusal, and tells the edge soon if it was policy that refused.
    pub(super) fn refuse(&self, refused: &Refused, record: &SandboxRecord, edge: &EdgeClient) {
        self.counters.denials.fetch_add(1, Ordering::Relaxed);
        tracing::info!(
            sandbox = %record.sandbox_id, host = refused.host, port = refused.port, reason = refused.reason.code(),
            "not let out"
        );
        if !refused.reason.is_denial() {
            return;
        }
        let mut log = lock(&self.denials);
        log.note(refused);
        // Before a session has it, there is nobody to tell.
        if let Some(session) = record.session()
            && !log.is_reporting
        {
            log.is_reporting = true;
            let (sandbox_id, session) = (record.sandbox_id.clone(), session.clone());
            tokio::spawn(report(self.denials.clone(), sandbox_id, session, edge.clone()));
        }
    }

    /// What was refused by policy so far.
    pub(crate) fn denials(&self) -> Vec<EgressDenial> {
        lock(&self.denials).all()
    }
}

/// Refusals by place and reason.
#[derive(Debug, Default)]
struct DenialLog {
    counts: BTreeMap<(String, u16, &'static str), Count>,
    is_reporting: bool,
}

#[derive(Debug, Default)]
struct Count {
    now: u64,
    told: u64,
}

impl DenialLog {
    fn note(&mut self, refused: &Refused) {
        let key = (refused.host.clone(), refused.port, refused.reason.code());
        let is_known = self.counts.contains_key(&key);
        let key = if is_known || self.counts.len() + 1 < EGRESS_DENIALS_MAX {
            key
        } else {
            (OTHER_PLACES.to_owned(), 0, refused.reason.code())
        };
        // Each reason may have its line of other places; beyond that the first of them counts for all.
        if self.counts.len() >= EGRESS_DENIALS_MAX
            && !self.counts.contains_key(&key)
            && let Some((_, count)) = self.counts.iter_mut().find(|((host, ..), _)| host == OTHER_PLACES)
        {
            count.now += 1;
            return;
        }
        self.counts.entry(key).or_default().now += 1;
    }

    /// What the edge has not been told.
    fn news(&self) -> Vec<EgressDenial> {
        self.select(|count| count.now > count.told)
    }

    fn all(&self) -> Vec<EgressDenial> {
        self.select(|_| true)
    }

    fn select(&self, is_wanted: impl Fn(&Count) -> bool) -> Vec<EgressDenial> {
        let wanted = self.counts.iter().filter(|(_, count)| is_wanted(count));
        wanted
            .map(|((host, port, reason), count)| EgressDenial {
                host: host.clone(),
                port: *port,
                reason: (*reason).to_owned(),
                count: count.now,
            })
            .collect()
    }

    fn told(&mut self, news: &[EgressDenial]) {
        for denial in news {
            let known = self.counts.iter_mut().find(|((host, port, reason), _)| {
                (host, *port, *reason) == (&denial.host, denial.port, denial.reason.as_str())
            });
            if let Some((_, count)) = known {
                count.told = denial.count;
            }
        }
    }
}

/// Tells the edge until it knows everything.
async fn report(log: Arc<Mutex<DenialLog>>, sandbox_id: SandboxId, session: SessionOwner, edge: EdgeClient) {
    let mut backoff = Backoff::new();
    loop {
        let denials = {
            let mut log = lock(&log);
            let news = log.news();
            if news.is_empty() {
                log.is_reporting = false;
                return;
            }
            news
        };
        let report = EgressReport { sandbox_id: sandbox_id.clone(), generation: session.generation, denials };
        match edge.egress(&session.session_id, &report).await {
            Ok(()) => {
                backoff.reset();
                lock(&log).told(&report.denials);
                tokio::time::sleep(REPORT_PAUSE).await;
            }
            Err(error) if error.may_pass() => {
                tracing::debug!(sandbox = %sandbox_id, %error, "reporting refusals again");
                backoff.wait().await;
            }
            Err(error) => {
                // The session is gone or has another sandbox: nobody waits for this, now or later.
                tracing::info!(sandbox = %sandbox_id, %error, "the edge does not want to know of refusals");
                return;
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::super::reason::Reason;
    use super::*;

    fn refused(host: &str, reason: Reason) -> Refused {
        Refused { host: host.to_owned(), port: 443, reason }
    }

    #[test]
    fn counts_rise_and_only_news_is_told() {
        let mut log = DenialLog::default();
        log.note(&refused("a.example", Reason::HostNotAllowed));
        log.note(&refused("a.example", Reason::HostNotAllowed));
        log.note(&refused("b.example", Reason::ReadOnly));
        let news = log.news();
        let told: Vec<_> = news.iter().map(|denial| (denial.host.as_str(), denial.count)).collect();
        assert_eq!(told, [("a.example", 2), ("b.example", 1)]);
        log.told(&news);
        assert!(log.news().is_empty());
        log.note(&refused("b.example", Reason::ReadOnly));
        assert_eq!(log.news().iter().map(|denial| denial.count).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn an_agent_that_tries_everything_fills_nothing() {
        let mut log = DenialLog::default();
        for n in 0..10_000 {
            log.note(&refused(&format!("h{n}.example"), Reason::HostNotAllowed));
            log.note(&refused(&format!("h{n}.example"), Reason::PortNotAllowed));
        }
        let news = log.news();
        assert_eq!(news.len(), EGRESS_DENIALS_MAX);
        assert_eq!(news.iter().map(|denial| denial.count).sum::<u64>(), 20_000);
        let other = news.iter().find(|denial| denial.host == OTHER_PLACES).unwrap();
        assert_eq!((other.count, other.port), (20_000 - 99, 0));
    }
}
