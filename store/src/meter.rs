use std::{collections::HashMap, time::Duration};

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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

/// How a session's meter is called in the set of all.
fn member(record: &MeterRecord) -> String {
    format!("{}|{}", record.session_id, record.supplier_address)
}

/// Suppliers, each with the places of its records.
fn by_supplier<'r>(records: impl Iterator<Item = &'r MeterRecord>) -> impl Iterator<Item = (&'r str, Vec<usize>)> {
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    for (place, record) in records.enumerate() {
        places.entry(&record.supplier_address).or_default().push(place);
    }
    places.into_iter()
}

#[derive(Deserialize)]
struct WrittenFactor {
    factor: f64,
}

// A lease is at most an eighth of what is left, so that no relayer holds what another has use for; the last relays go
// one by one. The record stands before the counter: a peer that finds none sets the counter to 0.
const VISIT: &str = r"
local consumed, record = KEYS[1], KEYS[2]
local told, wanted, cost, limit = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local ttl, share, written, replace = ARGV[5], tonumber(ARGV[6]), ARGV[7], ARGV[8]
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
return {relays, used}
";

impl Store {
    /// Settles accounts for some sessions in one round trip. Of each, what is told counts in any case; a lease is
    /// granted only within the limit. The keys live for `ttl` from now. Gives the grants in the visits' order.
    pub async fn visit_meters(
        &self,
        prefix: &str,
        visits: &[MeterVisit],
        ttl: Duration,
    ) -> Result<Vec<MeterGrant>, StoreError> {
        let ttl = ttl.as_millis() as u64;
        let settled = futures::future::try_join_all(by_supplier(visits.iter().map(|visit| &visit.record)).map(
            |(_, places)| async move {
                let asked = places.iter().map(|place| &visits[*place]);
                let answers: Vec<(u64, u64)> = self.pipeline(&self.visits(prefix, asked, ttl)).await?;
                Ok::<_, StoreError>((places, answers))
            },
        ));
        let members = visits.iter().map(|visit| member(&visit.record));
        let mut known = redis::pipe();
        known
            .cmd("SADD")
            .arg(self.keys().meter_sessions())
            .arg(members.collect::<Vec<_>>())
            .ignore();
        known.cmd("PEXPIRE").arg(self.keys().meter_sessions()).arg(ttl).ignore();
        let (settled, ()) = tokio::try_join!(settled, self.pipeline(&known))?;
        let mut grants = vec![MeterGrant::default(); visits.len()];
        for (places, answers) in settled {
            for (place, (relays, consumed)) in places.into_iter().zip(answers) {
                grants[place] = MeterGrant { relays, consumed };
            }
        }
        Ok(grants)
    }

    /// One supplier's visits: in a Cluster its keys are on one server.
    fn visits<'v>(&self, prefix: &str, visits: impl Iterator<Item = &'v MeterVisit>, ttl: u64) -> redis::Pipeline {
        let mut pipeline = redis::pipe();
        for visit in visits {
            let (session, supplier) = (&visit.record.session_id, &visit.record.supplier_address);
            let limit = u64::try_from(visit.record.max_stake_upokt).unwrap_or(0).min(LARGEST);
            let told = i128::from(visit.told) * i128::from(visit.cost);
            let told = i64::try_from(told).unwrap_or(if told < 0 { i64::MIN } else { i64::MAX });
            // The whole script, since a Redis that was started anew does not know it by its name.
            pipeline
                .cmd("EVAL")
                .arg(VISIT)
                .arg(2)
                .arg(self.keys().meter_consumed(prefix, session, supplier))
                .arg(self.keys().meter_record(prefix, session, supplier))
                .arg(told)
                .arg(visit.wanted)
                .arg(visit.cost)
                .arg(limit)
                .arg(ttl)
                .arg(SHARE)
                .arg(serde_json::to_string(&visit.record).expect("texts and numbers are JSON"))
                .arg(u8::from(visit.replace));
        }
        pipeline
    }

    /// Removes the meters of sessions, as pairs of session id and supplier, and tells the peers so.
    pub async fn close_meters(&self, prefix: &str, sessions: &[(String, String)]) -> Result<(), StoreError> {
        for (session, supplier) in sessions {
            let mut keys = redis::cmd("DEL");
            keys.arg(self.keys().meter_consumed(prefix, session, supplier))
                .arg(self.keys().meter_record(prefix, session, supplier));
            let member = format!("{session}|{supplier}");
            let (mut set, mut told) = (redis::cmd("SREM"), redis::cmd("PUBLISH"));
            set.arg(self.keys().meter_sessions()).arg(&member);
            told.arg(self.keys().meter_cleanup(prefix)).arg(&member);
            let ((), (), ()) = tokio::try_join!(self.query(&keys), self.query(&set), self.query(&told))?;
        }
        Ok(())
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

    /// Tells relayers the factors, for `ttl`; those of the peer read them again at once if `anew`.
    pub async fn write_service_factors(
        &self,
        factors: &ServiceFactors,
        ttl: Duration,
        updated_at: i64,
        anew: bool,
    ) -> Result<(), StoreError> {
        let by_service = factors
            .by_service
            .iter()
            .map(|(service, factor)| (Some(service.as_str()), *factor));
        for (service, factor) in factors
            .default
            .map(|factor| (None, factor))
            .into_iter()
            .chain(by_service)
        {
            let written = serde_json::json!({"factor": factor, "updated_at": updated_at});
            let mut set = redis::cmd("SET");
            set.arg(self.keys().service_factor(service)).arg(written.to_string());
            self.query::<()>(set.arg("PX").arg(ttl.as_millis() as u64)).await?;
            if anew {
                let told = serde_json::json!({"service_id": service.unwrap_or_default()});
                let mut publish = redis::cmd("PUBLISH");
                publish.arg(self.keys().service_factor_updates()).arg(told.to_string());
                self.query::<()>(&publish).await?;
            }
        }
        Ok(())
    }

    /// Takes factors back, those of services and (`None`) the default: relayers go by the protocol's own limit then.
    pub async fn remove_service_factors<'s>(
        &self,
        services: impl IntoIterator<Item = Option<&'s str>>,
    ) -> Result<(), StoreError> {
        for service in services {
            let mut delete = redis::cmd("DEL");
            self.query::<()>(delete.arg(self.keys().service_factor(service)))
                .await?;
        }
        Ok(())
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
