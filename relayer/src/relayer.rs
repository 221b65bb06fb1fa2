//! Starting and stopping a relayer: who owns which task, and what ends before what.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use pocket_config::RelayerConfig;
use pocket_keys::LiveKeys;
use pocket_metrics::Registry;
use pocket_query::{BlockFeed, ChainClient};
use pocket_store::{PublisherConfig, RelayPublisher, Store, Watermark};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::drain::Drain;
use crate::meter::{self, Ledger, Meter};
use crate::metrics::Metrics;
use crate::outbox::Outbox;
use crate::pipeline::Pipeline;
use crate::port_limits::PortLimits;
use crate::received::Reception;
use crate::relay_log::{LogMetrics, RelayLog, Replay, Travelling};
use crate::renewal::{RelayerControl, Renewal};
use crate::server::Server;
use crate::service::{ServiceError, Services};
use crate::simulation::{Simulation, SimulationError};
use crate::status::{Observer, StatusHandle};
use crate::supplier_gate::SupplierGate;
use crate::tls_port::{TlsError, TlsPort};
use crate::verify::Verifier;
use crate::watermarks::Watermarks;

/// How long open requests may take to finish at shutdown.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(30);
/// How long answered relays may then wait for the chain to verify them.
const SETTLE_GRACE: Duration = Duration::from_secs(10);
/// How long what waits in the relay log alone may take to reach Redis at shutdown; the rest is for the next start.
const REPLAY_GRACE: Duration = Duration::from_secs(10);
/// Between two looks for ring tables that are due.
const TABLES_EVERY: Duration = Duration::from_millis(50);
/// The first look into the supplier registry delays the start no longer.
const FIRST_REGISTRY_READ: Duration = Duration::from_secs(2);

/// What a relayer works with; its owner keeps the block feed running until the relayer has ended.
pub struct Deps {
    /// The chain.
    pub chain: ChainClient,
    /// Its height.
    pub feed: BlockFeed,
    /// Redis.
    pub store: Store,
    /// Keys of the suppliers' operators, as they are now.
    pub keys: LiveKeys,
    /// Where metrics are registered.
    pub registry: Registry,
    /// Bounds of the queue to Redis.
    pub publisher: PublisherConfig,
}

/// Why a relayer does not start.
#[derive(Debug, thiserror::Error)]
pub enum RelayerError {
    /// The port cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The configured address.
        address: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// A service cannot be served as configured.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The relay log cannot be used.
    #[error("relay_log.dir: {folder} cannot be used: {source}")]
    RelayLog {
        /// Its folder.
        folder: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// A simulated identity cannot be used as configured.
    #[error(transparent)]
    Simulation(#[from] SimulationError),
    /// The relay port's certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The registry has the relayer's metrics already.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// Serves relays.
pub struct Relayer;

/// A relayer at work. Dropping it does not end it: cancel its token and await [`RunningRelayer::join`].
pub struct RunningRelayer {
    local_addr: SocketAddr,
    cancel: CancellationToken,
    status: StatusHandle,
    task: JoinHandle<()>,
    control: RelayerControl,
}

impl RunningRelayer {
    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// What it can be told while it serves.
    pub fn control(&self) -> RelayerControl {
        self.control.clone()
    }

    /// What it tells of itself, for as long as it works.
    pub fn status(&self) -> StatusHandle {
        self.status.clone()
    }

    /// Waits until it has ended, after its token was cancelled.
    pub async fn join(self) {
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the relayer ended badly");
        }
    }

    /// Ends it: no new connections, open requests finished, all mined relays in Redis, watermark taken back.
    pub async fn shutdown(self) {
        self.cancel.cancel();
        self.join().await;
    }
}

/// The registry and the service factors, if Redis has them soon.
async fn read_what_miners_tell(gate: &SupplierGate, meter: Option<&Meter>) {
    if tokio::time::timeout(FIRST_REGISTRY_READ, gate.refresh()).await.is_err() {
        tracing::warn!("supplier registry not read yet: suppliers with loaded keys are served");
    }
    if let Some(meter) = meter
        && tokio::time::timeout(FIRST_REGISTRY_READ, meter.read_factors())
            .await
            .is_err()
    {
        tracing::warn!("service factors not read yet: applications are limited by their stake alone");
    }
}

impl Relayer {
    /// Starts serving. Chain, Redis and backends may be away: their absence shows in the answers.
    pub async fn start(
        config: &RelayerConfig,
        deps: Deps,
        cancel: CancellationToken,
    ) -> Result<RunningRelayer, RelayerError> {
        let metrics = Metrics::register(&deps.registry)?;
        let services = Services::new(None, config, &metrics)?;
        services.begin(None);
        let simulation = Simulation::new(&config.simulation, deps.store.clone(), metrics.simulation.clone())?;
        let meter = Meter::new(config, deps.chain.clone(), deps.store.clone(), metrics.meter.clone());
        let (meter, ledger) = meter.unzip();
        let tls = config.tls.as_ref().map(TlsPort::load).transpose()?.map(Arc::new);
        let address = config.listen_addr.to_string();
        let failed = |source| RelayerError::Listen {
            address: address.clone(),
            source,
        };
        let listener = TcpListener::bind(&address).await.map_err(failed)?;
        let local_addr = listener.local_addr().map_err(failed)?;
        if deps.keys.is_empty() {
            tracing::error!("no operator key is loaded: every relay will be refused");
        }

        let drain = Arc::new(Drain::default());
        let log = open_log(config, &listener, &drain, metrics.log.clone()).await?;
        // The publisher ends last of all, when nothing can be handed to it any more.
        let end_publisher = CancellationToken::new();
        let (publisher, publishing) = RelayPublisher::with_metrics(
            deps.store.clone(),
            deps.publisher,
            metrics.publisher.clone(),
            end_publisher.clone(),
        );
        let gate = SupplierGate::new(deps.store.clone(), deps.keys.clone());
        read_what_miners_tell(&gate, meter.as_deref()).await;
        let give_up = CancellationToken::new();
        let pipeline = Arc::new(Pipeline {
            reception: Reception {
                current: ArcSwap::from_pointee(services),
                keys: deps.keys,
                gate,
                drain: drain.clone(),
                metrics: metrics.clone(),
            },
            outbox: Outbox::new(publisher.clone(), log.clone()),
            limits: ArcSwap::from_pointee(PortLimits::of(config)),
            verifier: Verifier::new(deps.chain.clone(), meter.clone(), metrics.clone()),
            simulation,
            feed: deps.feed.clone(),
            metrics: metrics.clone(),
            afterwards: TaskTracker::new(),
            streams: TaskTracker::new(),
            give_up: give_up.clone(),
        });
        let marks = Watermarks {
            chain: deps.chain,
            feed: deps.feed,
            store: deps.store,
            drain,
            metrics,
            counts_for: log.as_ref().map_or(Watermark::TTL, |log| log.patience()),
        };
        let meter_and_tls = (meter.clone(), tls.clone());
        let (control, renewal) = Renewal::new(config, pipeline.clone(), meter_and_tls);
        let server = Server::new(pipeline.clone(), tls.clone());
        let observer = Observer::new(
            pipeline.clone(),
            server.clone(),
            meter.clone(),
            log.clone(),
            marks.store.clone(),
            deps.publisher.queue,
        );
        let status = observer.handle(cancel.clone());
        let run = Run {
            server,
            renewal,
            observer,
            pipeline,
            listener,
            tls,
            marks,
            publisher,
            log,
            metering: meter.zip(ledger),
            publishing,
            end_publisher,
            give_up,
            cancel: cancel.clone(),
        };
        let task = tokio::spawn(run.until_ended());
        tracing::info!(%local_addr, services = config.services.len(), "relayer listens");
        Ok(RunningRelayer {
            local_addr,
            cancel,
            status,
            task,
            control,
        })
    }
}

/// The owner of all tasks.
struct Run {
    server: Arc<Server>,
    renewal: Renewal,
    observer: Arc<Observer>,
    pipeline: Arc<Pipeline>,
    listener: TcpListener,
    tls: Option<Arc<TlsPort>>,
    marks: Watermarks,
    publisher: RelayPublisher<Travelling>,
    log: Option<Arc<RelayLog>>,
    metering: Option<(Arc<Meter>, Ledger)>,
    publishing: JoinHandle<()>,
    end_publisher: CancellationToken,
    give_up: CancellationToken,
    cancel: CancellationToken,
}

impl Run {
    async fn until_ended(self) {
        let Self {
            server,
            renewal,
            observer,
            pipeline,
            listener,
            tls,
            marks,
            publisher,
            log,
            metering,
            publishing,
            end_publisher,
            give_up,
            cancel,
        } = self;
        let instance = log
            .as_ref()
            .map_or_else(|| instance_name(&listener), |log| log.name().to_owned());
        // Connections wait at the port.
        let first = marks.begin(&instance).await;
        let mut helpers = JoinSet::new();
        let gated = pipeline.clone();
        let gate_cancel = cancel.clone();
        helpers.spawn(async move { gated.reception.gate.run(gate_cancel).await });
        if let Some(tls) = tls.clone() {
            let cancel = cancel.clone();
            helpers.spawn(async move { tls.follow_files(cancel).await });
        }
        helpers.spawn(renewal.run(cancel.clone()));
        helpers.spawn(build_tables(pipeline.verifier.rings().clone(), cancel.clone()));
        let end_log = CancellationToken::new();
        let mut logging = JoinSet::new();
        if let Some(log) = &log {
            let to = Replay {
                publisher,
                drain: marks.drain.clone(),
                pipeline: pipeline.clone(),
            };
            logging.spawn(log.clone().replay(to, end_log.clone()));
            logging.spawn(log.clone().sync(end_log.clone()));
        }
        // Kept until the last relay is charged.
        let end_ledger = CancellationToken::new();
        let mut accounting = JoinSet::new();
        if let Some((meter, ledger)) = metering {
            helpers.spawn(meter::keep(meter, pipeline.feed.clone(), cancel.clone()));
            accounting.spawn(ledger.run(end_ledger.clone()));
        }
        // Told until the end.
        let end_observer = CancellationToken::new();
        helpers.spawn(observer.run(end_observer.clone()));
        // Written until the last relay is in Redis.
        let end_marks = CancellationToken::new();
        let store = marks.store.clone();
        let mut marking = JoinSet::new();
        marking.spawn(marks.run(instance.clone(), first, end_marks.clone()));

        server.run(listener, SHUTDOWN_GRACE, cancel).await;
        pipeline.afterwards.close();
        if tokio::time::timeout(SETTLE_GRACE, pipeline.afterwards.wait())
            .await
            .is_err()
        {
            give_up.cancel();
            pipeline.afterwards.wait().await;
        }
        if let Some(log) = &log {
            let _ = tokio::time::timeout(REPLAY_GRACE, log.replayed()).await;
        }
        end_log.cancel();
        while logging.join_next().await.is_some() {}
        end_ledger.cancel();
        while accounting.join_next().await.is_some() {}
        end_publisher.cancel();
        if let Err(error) = publishing.await {
            tracing::error!(%error, "the publisher ended badly");
        }
        end_marks.cancel();
        while marking.join_next().await.is_some() {}
        end_observer.cancel();
        while helpers.join_next().await.is_some() {}
        let kept = log.map_or(0, |log| log.open_relays());
        if kept > 0 {
            // Miners wait for us still.
            tracing::warn!(
                relays = kept,
                "relays stay in the relay log: start a relayer with the same folder soon"
            );
        } else if let Err(error) = store.remove_watermark(&instance).await {
            tracing::warn!(%error, "watermark not taken back: miners wait until it expires");
        }
        tracing::info!("relayer ended");
    }
}

/// The relay log, if one is configured, with what an earlier process left there.
async fn open_log(
    config: &RelayerConfig,
    listener: &TcpListener,
    drain: &Arc<Drain>,
    metrics: LogMetrics,
) -> Result<Option<Arc<RelayLog>>, RelayerError> {
    let Some(config) = config.relay_log.clone() else {
        tracing::info!("no relay_log.dir: relays that Redis does not have yet are lost if this process is killed");
        return Ok(None);
    };
    let folder = config.dir.display().to_string();
    let (name, drain) = (instance_name(listener), drain.clone());
    let opening = tokio::task::spawn_blocking(move || RelayLog::open(&config, &name, &drain, metrics));
    match opening.await.expect("opening the log does not panic") {
        Ok(log) => Ok(Some(Arc::new(log))),
        Err(source) => Err(RelayerError::RelayLog { folder, source }),
    }
}

/// A name that no other relayer has, at any time.
fn instance_name(listener: &TcpListener) -> String {
    let port = listener.local_addr().map_or(0, |address| address.port());
    let nanos = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_nanos();
    format!("{}-{port}-{nanos:x}", std::process::id())
}

/// Builds the large tables of ring keys once they are due, on a thread that may block.
async fn build_tables(rings: Arc<pocket_ring::Verifier>, cancel: CancellationToken) {
    while cancel
        .run_until_cancelled(tokio::time::sleep(TABLES_EVERY))
        .await
        .is_some()
    {
        if rings.has_pending() {
            let rings = rings.clone();
            if let Err(error) = tokio::task::spawn_blocking(move || rings.build_pending()).await {
                tracing::error!(%error, "ring tables cannot be built: verification stays slow");
            }
        }
    }
}
