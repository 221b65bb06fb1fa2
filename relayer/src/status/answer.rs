//! The answer itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pocket_status::{
    Backend, Chain, Connections, Meter, Process, Queue, RelayLog, RelayerStatus, Relays, ServedSupplier, Service,
    ServiceType,
};
use time::OffsetDateTime;

use super::sample::{Before, Counts, Sample};
use super::{Observer, Seen};
use crate::service::{self, Route};
use crate::supplier_gate::status_name;

/// Counters now, and those before.
struct Grown {
    now: Sample,
    short: (Duration, Arc<Sample>),
    long: (Duration, Arc<Sample>),
}

impl Grown {
    fn since(seen: &Seen, now: Sample) -> Self {
        let at = Instant::now();
        let before = |window: &pocket_status::Window<Arc<Sample>>| {
            let oldest = window.oldest(at);
            oldest.map_or_else(Default::default, |(ago, sample)| (ago, sample.clone()))
        };
        Self {
            short: before(&seen.short),
            long: before(&seen.long),
            now,
        }
    }

    /// Some of the counts, now and before.
    fn of(&self, part: impl Fn(&Sample) -> Counts) -> (Counts, Before, Before) {
        let before = |(ago, sample): &(Duration, Arc<Sample>)| Before {
            ago: *ago,
            counts: part(sample),
        };
        (part(&self.now), before(&self.short), before(&self.long))
    }
}

impl Observer {
    /// What is told now, but for readiness.
    pub(super) fn status(&self) -> RelayerStatus {
        let (now, pipeline) = (OffsetDateTime::now_utc(), &self.pipeline);
        let sample = Sample::take(pipeline);
        let (grown, history, redis) = {
            let seen = self.seen.lock();
            (Grown::since(&seen, sample), seen.history.seconds(), seen.redis.clone())
        };
        let (all, short, long) = grown.of(Sample::all);
        let current = pipeline.reception.services();
        let load = &current.load;
        let mut services: Vec<&Arc<service::Service>> = current.iter().collect();
        services.sort_by(|one, other| one.id.cmp(&other.id));
        RelayerStatus {
            process: Process::since(self.started_at, now),
            ready: false,
            not_ready: Vec::new(),
            chain: self.chain(now),
            redis,
            relays: Relays {
                served: all.served(&short, &long),
                refusals: all.refusals_by_reason(&long),
                invalid: all.invalid_by_reason(&long),
                answered_history: history,
                in_flight: load.now() as u64,
                in_flight_limit: load.limit() as u64,
            },
            services: services.into_iter().map(|service| describe(service, &grown)).collect(),
            meter: self.meter(),
            queue: Queue {
                taken: self.queue.saturating_sub(pipeline.outbox.free()) as u64,
                limit: self.queue as u64,
            },
            relay_log: self.log.as_ref().map(|log| {
                let (bytes, max_bytes) = log.size();
                RelayLog {
                    bytes,
                    max_bytes,
                    relays: log.open_relays() as u64,
                }
            }),
            connections: Connections {
                open: u64::try_from(pipeline.metrics.connections.get()).unwrap_or(0),
                websockets: self.server.open_sockets() as u64,
                streams: pipeline.streams.len() as u64,
            },
            suppliers: self.suppliers(),
        }
    }

    fn chain(&self, now: OffsetDateTime) -> Chain {
        let feed = &self.pipeline.feed;
        let block = *feed.subscribe().borrow();
        Chain {
            height: block.height.0,
            block_age_seconds: (block.height.0 > 0).then(|| (now - block.time).as_seconds_f64()),
            node_silent_seconds: feed.silent_for().as_secs_f64(),
        }
    }

    fn meter(&self) -> Meter {
        let Some(meter) = &self.meter else {
            return Meter::default();
        };
        let standings = meter.standings();
        Meter {
            enabled: true,
            sessions: standings.sessions,
            exhausted: standings.exhausted,
            unknown: standings.away,
            refused: meter.refused(),
        }
    }

    fn suppliers(&self) -> Vec<ServedSupplier> {
        let reception = &self.pipeline.reception;
        let keys = reception.keys.current();
        let told = keys.addresses().map(|supplier| {
            let entry = reception.gate.known(supplier.as_str());
            ServedSupplier {
                address: supplier.to_string(),
                registry: entry
                    .as_ref()
                    .map_or("unknown", |entry| status_name(entry.status))
                    .to_owned(),
                services: entry.map(|entry| entry.services).unwrap_or_default(),
            }
        });
        let mut suppliers: Vec<ServedSupplier> = told.collect();
        suppliers.sort_by(|one, other| one.address.cmp(&other.address));
        suppliers
    }
}

fn describe(service: &service::Service, grown: &Grown) -> Service {
    let id = service.id.as_str();
    let (counts, short, long) = grown.of(|sample| sample.service(id));
    let of_type = |route: &Route| {
        let kind = route.kind.as_str();
        let (counts, short, long) = grown.of(|sample| sample.route(id, kind));
        ServiceType {
            rpc_type: kind.to_owned(),
            served: counts.served(&short, &long),
        }
    };
    Service {
        service: id.to_owned(),
        served: counts.served(&short, &long),
        mined: service.routes().next().map_or(0, |route| route.metrics.mined.get()),
        refusals: counts.refusals_by_reason(&long),
        invalid: counts.invalid_by_reason(&long),
        in_flight: service.load().now() as u64,
        in_flight_limit: service.load().limit() as u64,
        types: service.routes().map(of_type).collect(),
        backends: service.routes().flat_map(backends).collect(),
    }
}

fn backends(route: &Route) -> impl Iterator<Item = Backend> {
    let pool = route.backends.pool();
    let now = pool.now();
    pool.endpoints().iter().map(move |endpoint| Backend {
        name: endpoint.name.to_string(),
        rpc_type: route.kind.as_str().to_owned(),
        url: endpoint.connection.target().origin(),
        state: endpoint.state(now).label().to_owned(),
        latency_ms: endpoint.latency().map(|time| time.as_secs_f64() * 1000.0),
        in_flight: endpoint.in_flight().into(),
    })
}
