//! The answer itself.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use pocket_protocol::{Height, SupplierAddress};
use pocket_status::{
    Balance, Cause, Chain, End, MinerStatus, MinerTotals, Next, Process, RelayerSeen, Risk, Session, SessionWindows,
    Severity, StateTotal, Step, Stream, Supplier, Work,
};
use pocket_store::{Relayers, SessionState};
use time::OffsetDateTime;

use super::board::{EndView, SessionView, SupplierView, Told};
use super::counts::{self, TakenIn};
use super::risk::{self, Means, Surroundings};
use super::worth::Worth;
use super::{Observer, Seen};

/// A node that is silent for so long has something: it is asked every 15 seconds at least.
const NODE_SUSPECT: Duration = Duration::from_mins(1);

impl Observer {
    /// What is told now.
    pub(super) fn status(&self) -> MinerStatus {
        let now = OffsetDateTime::now_utc();
        let (told, not_ready) = (self.board.read(), self.not_ready());
        let mut status = MinerStatus {
            process: Process::since(self.started_at, now),
            ready: not_ready.is_empty(),
            not_ready,
            instance: self.instance.clone(),
            leader: told.leads,
            chain: self.chain(now),
            ..MinerStatus::default()
        };
        let seen = self.seen();
        status.redis = seen.redis.clone();
        status.relayers = relayers(&seen.relayers);
        self.add_process_risks(&mut status);
        self.add_sessions(&mut status, &told, &seen);
        self.add_suppliers(&mut status, &told, &seen);
        status.ends = told.ends.iter().map(|end| describe_end(end, &seen.worth)).collect();
        drop(seen);
        status
            .risks
            .sort_by_key(|risk| (risk.severity, risk.cause, Reverse(risk.upokt)));
        status
    }

    fn chain(&self, now: OffsetDateTime) -> Chain {
        let block = *self.feed.subscribe().borrow();
        Chain {
            height: block.height.0,
            block_age_seconds: (block.height.0 > 0).then(|| (now - block.time).as_seconds_f64()),
            node_silent_seconds: self.feed.silent_for().as_secs_f64(),
        }
    }

    fn add_process_risks(&self, status: &mut MinerStatus) {
        let watched = &self.metrics.watch;
        let mut add = |severity, cause, text: String| {
            status.risks.push(Risk {
                severity,
                cause,
                text,
                supplier: None,
                session: None,
                upokt: None,
            });
        };
        if let Some(error) = &status.redis.error {
            add(
                Severity::Critical,
                Cause::Redis,
                format!("Redis does not answer: {error}"),
            );
        }
        // Nothing is known of it before the first look.
        if watched.memory_used.get() > 0 {
            if watched.evicts.get() == 1 {
                let text = "Redis drops keys when memory is full: set `maxmemory-policy noeviction`";
                add(Severity::Critical, Cause::RedisForgets, text.to_owned());
            }
            if watched.keeps_log.get() == 0 {
                let text = "Redis keeps no append-only file: set `appendonly yes`";
                add(Severity::Warning, Cause::RedisForgets, text.to_owned());
            }
        }
        let silent = self.feed.silent_for();
        if silent > NODE_SUSPECT {
            let text = format!("the node has not answered for {} seconds", silent.as_secs());
            add(Severity::Critical, Cause::Chain, text);
        }
    }

    fn add_sessions(&self, status: &mut MinerStatus, told: &Told, seen: &Seen) {
        let height = self.feed.height();
        let mut states: BTreeMap<&'static str, StateTotal> = BTreeMap::new();
        for (address, supplier) in &told.suppliers {
            let around = Surroundings {
                height,
                relayers: &seen.relayers,
                supplier,
                waiting: seen.streams.get(address).map_or(0, |stream| stream.length),
            };
            for view in supplier.sessions.iter() {
                let risk = risk::of_session(view, &around);
                let session = describe(
                    view,
                    height,
                    seen.worth.of(&view.record),
                    risk.as_ref().map(|risk| risk.0),
                );
                let upokt = session.expected_upokt.unwrap_or(0);
                let state = states.entry(view.record.state.as_str()).or_default();
                state.sessions += 1;
                state.relays += session.relays;
                state.upokt += upokt;
                add_to_totals(&mut status.totals, &session, view.record.state);
                if let Some((severity, cause, text)) = risk {
                    status.risks.push(Risk {
                        severity,
                        cause,
                        text,
                        supplier: Some(session.supplier.clone()),
                        session: Some(session.session.clone()),
                        upokt: session.expected_upokt,
                    });
                }
                status.sessions.push(session);
            }
        }
        let named = |(state, total): (&str, StateTotal)| StateTotal {
            state: state.to_owned(),
            ..total
        };
        status.states = states.into_iter().map(named).collect();
        // One that no block decides is last of those without a risk.
        let due = |session: &Session| session.next.map_or(i64::MAX, |next| next.blocks_left);
        status.sessions.sort_by(|one, other| {
            let order = |session: &Session| (session.risk.is_none(), session.risk, due(session));
            let by_worth = || other.expected_upokt.cmp(&one.expected_upokt);
            order(one)
                .cmp(&order(other))
                .then_with(by_worth)
                .then_with(|| one.session.cmp(&other.session))
        });
        status.sessions_left_out = status.sessions.len().saturating_sub(MinerStatus::MOST_SESSIONS) as u64;
        status.sessions.truncate(MinerStatus::MOST_SESSIONS);
    }

    fn add_suppliers(&self, status: &mut MinerStatus, told: &Told, seen: &Seen) {
        let (at, taken_in) = (Instant::now(), TakenIn::of(&self.metrics));
        let nothing = TakenIn::default();
        let short = seen
            .short
            .oldest(at)
            .map_or((Duration::ZERO, &nothing), |(ago, then)| (ago, &**then));
        let long = seen
            .long
            .oldest(at)
            .map_or((Duration::ZERO, &nothing), |(ago, then)| (ago, &**then));
        let watched = &self.metrics.watch;
        let (balances, health) = (
            counts::by_supplier(&watched.balance),
            counts::by_supplier(&watched.balance_health),
        );
        let missed = counts::by_supplier(&watched.missed_proofs_left);
        let keys = self.keys.current();
        let mut addresses: Vec<&SupplierAddress> = keys.addresses().collect();
        addresses.sort();
        for address in addresses {
            let (name, view) = (address.as_str(), told.suppliers.get(address));
            let rate = counts::rate(&taken_in, short, long, |taken_in| taken_in.supplier(name));
            let stream = view.and_then(|_| seen.streams.get(address));
            let balance = balances.get(name).copied().zip(health.get(name).copied());
            let means = Means {
                balance: balance.map(|(upokt, health)| (health, upokt)),
                missed_proofs_left: missed.get(name).copied(),
                stake_thresholds: (
                    self.accounts.stake_warning_proof_threshold as i64,
                    self.accounts.stake_critical_proof_threshold as i64,
                ),
                waiting: stream.map_or(0, |stream| stream.length),
                pace: rate.last_10s,
                told_ago: view.map(|view| view.seen_at.elapsed().as_secs()),
            };
            status.risks.extend(risk::of_supplier(address, &means));
            status.suppliers.push(Supplier {
                address: address.to_string(),
                owned: view.is_some(),
                stream: stream.map(|stream| Stream {
                    length: stream.length,
                    pending: stream.pending,
                }),
                sessions: view.map_or(0, |view| view.sessions.len() as u64),
                expected_upokt: view.map_or(0, |view| expected(view, &seen.worth)),
                relays_per_second: rate,
                balance: balance.map(|(upokt, health)| Balance {
                    upokt: u64::try_from(upokt).unwrap_or(0),
                    health: ["critical", "low", "good"][health.clamp(0, 2) as usize].to_owned(),
                }),
                missed_proofs_left: means.missed_proofs_left.and_then(|left| u64::try_from(left).ok()),
            });
        }
        let totals = &mut status.totals;
        totals.relays = taken_in.all();
        totals.relays_per_second = counts::rate(&taken_in, short, long, TakenIn::all);
        totals.relays_history = seen.history.seconds();
        totals.claims = counts::total(&self.metrics.claims);
        totals.proofs = counts::total(&self.metrics.proofs);
        totals.failed = counts::total(&self.metrics.failed);
        totals.earned_upokt = counts::total(&self.metrics.earned);
    }
}

fn add_to_totals(totals: &mut MinerTotals, session: &Session, state: SessionState) {
    let upokt = session.expected_upokt.unwrap_or(0);
    totals.sessions += 1;
    match session.work {
        Some(Work::Claim) => totals.claims_under_way += 1,
        Some(Work::Proof) => totals.proofs_under_way += 1,
        None => {}
    }
    if !is_lost(state) {
        totals.expected_upokt += upokt;
        if session.risk.is_some() {
            totals.at_risk_upokt += upokt;
        }
    }
}

fn expected(view: &SupplierView, worth: &Worth) -> u64 {
    let alive = view.sessions.iter().filter(|session| !is_lost(session.record.state));
    alive.filter_map(|session| worth.of(&session.record)).sum()
}

/// Whether nothing will be paid.
fn is_lost(state: SessionState) -> bool {
    let is_paid = matches!(state, SessionState::Proved | SessionState::ProbabilisticProved);
    state.is_terminal() && !is_paid
}

fn describe(view: &SessionView, height: Height, upokt: Option<u64>, risk: Option<Severity>) -> Session {
    let record = &view.record;
    let work = match record.state {
        SessionState::Claiming => Some(Work::Claim),
        SessionState::Proving => Some(Work::Proof),
        _ => None,
    };
    Session {
        session: record.session.to_string(),
        supplier: record.supplier.to_string(),
        service: record.service.to_string(),
        application: record.application.to_string(),
        start: record.start.0,
        end: record.end.0,
        state: record.state.as_str().to_owned(),
        relays: record.relays,
        compute_units: record.compute_units.0,
        expected_upokt: upokt,
        windows: view.windows.map(|windows| SessionWindows {
            claim_open: windows.claim_open.0,
            claim_close: windows.claim_close.0,
            proof_open: windows.proof_open.0,
            proof_close: windows.proof_close.0,
        }),
        next: next(view, height),
        work: work.filter(|_| view.busy),
        risk,
        reason: record
            .reason
            .clone()
            .or_else(|| view.trouble.as_deref().map(str::to_owned)),
        claim_tx: record.claim_tx.clone(),
        proof_tx: record.proof_tx.clone(),
    }
}

/// What the chain's height decides next about a session.
fn next(view: &SessionView, height: Height) -> Option<Next> {
    use SessionState as S;
    let Some(windows) = view.windows else {
        let end = view.record.end;
        return (height <= end).then(|| at(Step::SessionEnds, end, height));
    };
    let (step, due) = match view.record.state {
        S::Active if height < windows.claim_open => (Step::ClaimOpens, windows.claim_open),
        S::Active | S::Claiming => (Step::ClaimCloses, windows.claim_close),
        S::Claimed if height < windows.proof_open => (Step::ProofOpens, windows.proof_open),
        S::Claimed | S::Proving => (Step::ProofCloses, windows.proof_close),
        _ => (Step::Settles, windows.settlement()),
    };
    Some(at(step, due, height))
}

fn at(step: Step, due: Height, height: Height) -> Next {
    Next {
        step,
        height: due.0,
        blocks_left: (due - height).max(0),
    }
}

fn describe_end(end: &EndView, worth: &Worth) -> End {
    let record = &end.record;
    let claimed = end.claimed.and_then(|upokt| u64::try_from(upokt.0).ok());
    End {
        session: record.session.to_string(),
        supplier: record.supplier.to_string(),
        service: record.service.to_string(),
        relays: record.relays,
        compute_units: record.compute_units.0,
        state: record.state.as_str().to_owned(),
        settlement: record.settlement.clone().unwrap_or_default(),
        height: record.settlement_height.map_or(0, |height| height.0),
        upokt: claimed.or_else(|| worth.of(record)),
        reason: record.reason.clone(),
    }
}

fn relayers(seen: &Relayers) -> Vec<RelayerSeen> {
    let live = seen.live.iter().map(|(instance, mark)| RelayerSeen {
        instance: instance.clone(),
        live: true,
        height: Some(mark.height.0),
        open_from: Some(mark.open_from.0),
    });
    let silent = seen.silent.iter().map(|instance| RelayerSeen {
        instance: instance.clone(),
        ..RelayerSeen::default()
    });
    let mut relayers: Vec<RelayerSeen> = live.chain(silent).collect();
    relayers.sort_by(|one, other| one.instance.cmp(&other.instance));
    relayers
}
