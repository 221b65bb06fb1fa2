//! What a relay of a session that is not known may cost the chain's node.
//!
//! Session headers are the client's words, and nothing in them is proven before the chain was asked. So the chain is
//! asked only about sessions that can take relays now, by the grid, and failures are counted: whoever sends relays for
//! sessions that do not exist gets a bounded number of queries for them. Applications that were seen with a true
//! session are not held up by that.

use std::time::Instant;

use moka::sync::Cache;
use parking_lot::Mutex;
use pocket_proto::pocket::session::SessionHeader;
use pocket_protocol::{Height, SessionBounds};
use pocket_query::{ChainClient, QueryError};

use crate::rate::Bucket;
use crate::refusal::Invalid;

/// Lookups that may fail at once.
const BURST: f64 = 256.0;
/// Lookups that may fail a second, in the long run.
const PER_SECOND: f64 = 50.0;
/// Applications that are remembered, each with its service.
const KNOWN: u64 = 65_536;
/// How far a gateway may be ahead of the height known here, in blocks.
const AHEAD: i64 = 3;
/// Sessions before the current one that are looked at: more never take relays.
const SESSIONS_BACK: usize = 64;

/// Bounds failing lookups of sessions.
pub(crate) struct Lookups {
    /// Pairs of application and service that have had a session.
    known: Cache<(String, String), ()>,
    // Locked for a session that is not known, never for a warm relay.
    allowance: Mutex<Bucket>,
}

/// The right to ask the chain about one session.
#[must_use]
pub(crate) struct Lookup<'a> {
    lookups: &'a Lookups,
    is_counted: bool,
}

impl Lookups {
    pub fn new() -> Self {
        Self {
            known: Cache::new(KNOWN),
            allowance: Mutex::new(Bucket::new(BURST, PER_SECOND, Instant::now())),
        }
    }

    /// Whether the chain may be asked about a session. `None` when too many lookups have failed of late.
    pub fn begin(&self, header: &SessionHeader) -> Option<Lookup<'_>> {
        let is_counted = !self.known.contains_key(&pair(header));
        if is_counted && !self.allowance.lock().take(Instant::now()) {
            return None;
        }
        Some(Lookup {
            lookups: self,
            is_counted,
        })
    }
}

impl Lookup<'_> {
    /// The session is true: the lookup counts for nothing, nor do later ones for its application and service.
    pub fn succeeded(self, header: &SessionHeader) {
        if self.is_counted {
            self.lookups.known.insert(pair(header), ());
            self.lookups.allowance.lock().put_back();
        }
    }
}

fn pair(header: &SessionHeader) -> (String, String) {
    (header.application_address.clone(), header.service_id.clone())
}

/// Whether a session with the header's heights can be. Asks for parameters only at heights that do not depend on the
/// client, a few for each block. A `current` of 0 is not known yet: then any can be.
pub(crate) async fn check_grid(chain: &ChainClient, header: &SessionHeader, current: Height) -> Result<(), Invalid> {
    if current.0 <= 0 {
        return Ok(());
    }
    let unavailable = |error: QueryError| Invalid::ChainUnavailable(error.to_string());
    let (start, end) = (
        Height(header.session_start_block_height),
        Height(header.session_end_block_height),
    );
    let bounds_at = async |height: Height| {
        let params = chain.shared_params_at(height).await.map_err(unavailable)?;
        Ok::<_, Invalid>(SessionBounds::containing(&params, height))
    };
    let mut bounds = bounds_at(current).await?;
    if start > bounds.end {
        if start > current + AHEAD {
            return Err(Invalid::NoSession("it has not begun".to_owned()));
        }
        bounds = bounds_at(bounds.next_start()).await?;
    }
    for _ in 0..SESSIONS_BACK {
        if end >= bounds.start || bounds.start.0 <= 1 {
            break;
        }
        bounds = bounds_at(bounds.start - 1).await?;
    }
    if start != bounds.start {
        return Err(Invalid::HeaderMismatch("session_start_block_height"));
    }
    if end != bounds.end {
        return Err(Invalid::HeaderMismatch("session_end_block_height"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(application: &str) -> SessionHeader {
        SessionHeader {
            application_address: application.to_owned(),
            ..SessionHeader::default()
        }
    }

    #[test]
    fn failures_are_bounded_and_success_costs_nothing() {
        let lookups = Lookups::new();
        for _ in 0..1000 {
            lookups.begin(&header("true")).unwrap().succeeded(&header("true"));
        }
        let failed = (0..1000).filter(|i| lookups.begin(&header(&format!("false{i}"))).is_some());
        // What comes in while the test runs is some more.
        assert!((255..=600).contains(&failed.count()));
        assert!(lookups.begin(&header("true")).is_some());
    }
}
