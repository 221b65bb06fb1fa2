use std::{collections::HashMap, sync::LazyLock, time::Duration};

use redis::Script;
use serde::{Deserialize, Serialize};

use crate::{Store, StoreError};

/// The largest amount that the shared counter takes: scripts count in doubles, which are exact up to here. It is more
/// than will ever be minted.
const LARGEST: u64 = (1 << 53) - 1;

/// Part of what is left that one lease may be for, as its denominator.
const SHARE: u64 = 8;

/// What is known of a session's budget, for one supplier: JSON with the Go peer's field names (spec relay.md §6.6).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeterRecord {
    /// The session.
    pub session_id: String,
    /// Who pays.
    pub app_address: String,
    /// For what.
    pub service_id: String,
    /// Whom: operator address.
    pub supplier_address: String,
    /// Last block of the session.
    pub session_end_height: i64,
    /// The budget, upokt.
    pub max_stake_upokt: i64,
    /// Unix time in seconds.
    pub created_at: i64,
    /// The factor that the budget was computed with; 0 for none. A peer that sees another computes it anew.
    pub created_with_factor: f64,
    /// The stake that it was computed with, upokt.
    pub created_with_app_stake: i64,
}

/// One relayer's settling of accounts for one session and supplier.
#[derive(Clone, Debug)]
pub struct MeterVisit {
    /// What the budget follows from. Its `max_stake_upokt` is the limit that the grant keeps to.
    pub record: MeterRecord,
    /// Whether the record is to replace another's: the budget was computed anew.
    pub replace: bool,
    /// Price of a relay, upokt, at least 1.
    pub cost: u64,
    /// Relays that were served without a lease and are told only now; below 0, leased ones that are given back.
    pub told: i64,
    /// Relays that a new lease is wanted for.
    pub wanted: u64,
}

/// What a visit brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeterGrant {
    /// Relays that may be served.
    pub relays: u64,
    /// Upokt spoken for by all relayers, this grant included.
    pub consumed: u64,
}

/// The factors that miners told, by service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceFactors {
    /// For services without their own.
    pub default: Option<f64>,
    /// By the service's id.
    pub by_service: HashMap<String, f64>,
}

impl ServiceFactors {
    /// The factor of a service.
    pub fn of(&self, service: &str) -> Option<f64> {
        self.by_service.get(service).copied().or(self.default)
    }
}

#[derive(Deserialize)]
struct WrittenFactor {
    factor: f64,
}

// A lease is at most an eighth of what is left, so that no relayer holds what another has use for; the last relays go
// one by one. The record stands before the counter: a peer that finds none sets the counter to 0.
const VISIT: &str = r"
local consumed, record, sessions = KEYS[1], KEYS[2], KEYS[3]
local told, wanted, cost, limit = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local ttl, share, written, replace, member = ARGV[5], tonumber(ARGV[6]), ARGV[7], ARGV[8], ARGV[9]
if replace == '1' then
  redis.call('SET', record, written, 'PX', ttl)
elseif not redis.call('SET', record, written, 'NX', 'PX', ttl) then
  redis.call('PEXPIRE', record, ttl)
end
local used = redis.call('INCRBY', consumed, told)
if used < 0 then
  redis.call('SET', consumed, 0)
  used = 0
end
local left, relays = limit - used, 0
if wanted > 0 and left >= cost then
  local payable = (left - math.fmod(left, cost)) / cost
  relays = math.min(wanted, math.max(1, math.floor(payable / share)))
  used = redis.call('INCRBY', consumed, string.format('%.0f', relays * cost))
end
redis.call('PEXPIRE', consumed, ttl)
redis.call('SADD', sessions, member)
redis.call('PEXPIRE', sessions, ttl)
return {relays, used}
";

/// The script and its name.
static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(VISIT));

impl Store {
    /// Settles accounts for some sessions in one round trip. Of each, what is told counts in any case; a lease is
    /// granted only within the limit. The keys live for `ttl` from now.
    pub async fn visit_meters(
        &self,
        prefix: &str,
        visits: &[MeterVisit],
        ttl: Duration,
    ) -> Result<Vec<MeterGrant>, StoreError> {
        let mut pipeline = redis::Pipeline::with_capacity(visits.len() + 1);
        // A Redis that was started anew does not know the script.
        pipeline.cmd("SCRIPT").arg("LOAD").arg(VISIT).ignore();
        for visit in visits {
            let (session, supplier) = (&visit.record.session_id, &visit.record.supplier_address);
            let limit = u64::try_from(visit.record.max_stake_upokt).unwrap_or(0).min(LARGEST);
            let told = i128::from(visit.told) * i128::from(visit.cost);
            let told = i64::try_from(told).unwrap_or(if told < 0 { i64::MIN } else { i64::MAX });
            pipeline
                .cmd("EVALSHA")
                .arg(SCRIPT.get_hash())
                .arg(3)
                .arg(self.keys().meter_consumed(prefix, session, supplier))
                .arg(self.keys().meter_record(prefix, session, supplier))
                .arg(self.keys().meter_sessions())
                .arg(told)
                .arg(visit.wanted)
                .arg(visit.cost)
                .arg(limit)
                .arg(ttl.as_millis() as u64)
                .arg(SHARE)
                .arg(serde_json::to_string(&visit.record).expect("texts and numbers are JSON"))
                .arg(u8::from(visit.replace))
                .arg(format!("{session}|{supplier}"));
        }
        let answers: Vec<(u64, u64)> = self.pipeline(&pipeline).await?;
        let grants = answers.into_iter();
        Ok(grants
            .map(|(relays, consumed)| MeterGrant { relays, consumed })
            .collect())
    }

    /// Removes the meters of sessions, as pairs of session id and supplier, and tells the peers so.
    pub async fn close_meters(&self, prefix: &str, sessions: &[(String, String)]) -> Result<(), StoreError> {
        let mut pipeline = redis::Pipeline::with_capacity(3 * sessions.len());
        for (session, supplier) in sessions {
            let member = format!("{session}|{supplier}");
            pipeline
                .cmd("DEL")
                .arg(self.keys().meter_record(prefix, session, supplier))
                .arg(self.keys().meter_consumed(prefix, session, supplier))
                .ignore();
            pipeline
                .cmd("SREM")
                .arg(self.keys().meter_sessions())
                .arg(&member)
                .ignore();
            pipeline
                .cmd("PUBLISH")
                .arg(self.keys().meter_cleanup(prefix))
                .arg(&member)
                .ignore();
        }
        self.pipeline(&pipeline).await
    }

    /// The factors of these services, as miners told them.
    pub async fn service_factors(
        &self,
        services: impl IntoIterator<Item = &str>,
    ) -> Result<ServiceFactors, StoreError> {
        let services: Vec<&str> = services.into_iter().collect();
        let named = services.iter().map(|service| Some(*service));
        let keys: Vec<String> = std::iter::once(None)
            .chain(named)
            .map(|service| self.keys().service_factor(service))
            .collect();
        let texts: Vec<Option<String>> = self.query(redis::cmd("MGET").arg(&keys)).await?;
        let mut factors = Vec::with_capacity(keys.len());
        for (key, text) in keys.into_iter().zip(texts) {
            let written: Option<WrittenFactor> = text
                .map(|text| serde_json::from_str(&text).map_err(|error| StoreError::malformed(key, error)))
                .transpose()?;
            // A factor of nothing is none, as for the peer, which does not write one.
            factors.push(written.map(|written| written.factor).filter(|factor| *factor > 0.0));
        }
        let mut factors = factors.into_iter();
        Ok(ServiceFactors {
            default: factors.next().flatten(),
            by_service: services
                .into_iter()
                .zip(factors)
                .filter_map(|(service, factor)| Some((service.to_owned(), factor?)))
                .collect(),
        })
    }

    /// Notes a simulated relay for `ttl`; `false` when it was noted before.
    pub async fn note_simulated(&self, signature_hash: &[u8; 32], ttl: Duration) -> Result<bool, StoreError> {
        let set: Option<String> = self
            .query(
                redis::cmd("SET")
                    .arg(self.keys().simulated(&hex::encode(signature_hash)))
                    .arg("1")
                    .arg("NX")
                    .arg("PX")
                    .arg(ttl.as_millis() as u64),
            )
            .await?;
        Ok(set.is_some())
    }
}
