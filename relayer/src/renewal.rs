//! Taking up a changed configuration while relays are served.
//!
//! All or nothing: what the new configuration needs is made first, beside what is in use; only when all of it is there
//! it takes the place of the old. A relay keeps the service and the backends it was received for until it is answered;
//! backends that did not change keep their connections, and servers what is known of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use pocket_config::RelayerConfig;
use pocket_keys::KeySet;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::meter::Meter;
use crate::pipeline::Pipeline;
use crate::pool::{Backends, watch_all};
use crate::port_limits::PortLimits;
use crate::service::{ServiceError, Services, endpoint_labels};
use crate::tls_port::{TlsError, TlsPort};

/// Requests that may wait for the one under way.
const QUEUE: usize = 4;

/// Why a relayer goes on with its old configuration.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// Keys that hold from start to end of a process.
    #[error("{} cannot change while the relayer runs", .0.join(", "))]
    NeedsRestart(Vec<&'static str>),
    /// A service cannot be served as configured.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The relay port's new certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The relayer has ended, or is ending.
    #[error("the relayer ends")]
    Ended,
}

/// Tells a running relayer what its configuration says now. Clones tell the same relayer.
#[derive(Clone, Debug)]
pub struct RelayerControl(mpsc::Sender<Request>);

#[derive(Debug)]
struct Request {
    config: Box<RelayerConfig>,
    keys: KeySet,
    answer: oneshot::Sender<Result<(), ReloadError>>,
}

impl RelayerControl {
    /// Serves by this configuration and with these keys from now on; after an error by the old ones, as if nothing had
    /// been asked. Relays of a supplier whose key is gone are refused at once.
    pub async fn reload(&self, config: RelayerConfig, keys: KeySet) -> Result<(), ReloadError> {
        let (answer, answered) = oneshot::channel();
        let request = Request {
            config: Box::new(config),
            keys,
            answer,
        };
        self.0.send(request).await.map_err(|_| ReloadError::Ended)?;
        answered.await.map_err(|_| ReloadError::Ended)?
    }
}

/// The one who replaces what a configuration says, and who owns the tasks that watch the backends.
pub(crate) struct Renewal {
    requests: mpsc::Receiver<Request>,
    config: RelayerConfig,
    pipeline: Arc<Pipeline>,
    meter: Option<Arc<Meter>>,
    tls: Option<Arc<TlsPort>>,
    watched: Vec<(Arc<Backends>, CancellationToken)>,
    tasks: JoinSet<()>,
}

impl Renewal {
    pub fn new(
        config: &RelayerConfig,
        pipeline: Arc<Pipeline>,
        (meter, tls): (Option<Arc<Meter>>, Option<Arc<TlsPort>>),
    ) -> (RelayerControl, Self) {
        let (sender, requests) = mpsc::channel(QUEUE);
        let renewal = Self {
            requests,
            config: config.clone(),
            pipeline,
            meter,
            tls,
            watched: Vec::new(),
            tasks: JoinSet::new(),
        };
        (RelayerControl(sender), renewal)
    }

    /// Watches the backends and follows the configuration until `cancel`.
    pub async fn run(mut self, cancel: CancellationToken) {
        self.watch(&cancel);
        loop {
            let request = tokio::select! {
                () = cancel.cancelled() => break,
                Some(_) = self.tasks.join_next() => continue,
                request = self.requests.recv() => request,
            };
            let Some(request) = request else {
                cancel.cancelled().await;
                break;
            };
            let outcome = self.renew(*request.config, request.keys).await;
            if outcome.is_ok() {
                self.watch(&cancel);
            }
            // Who asked may have gone.
            let _ = request.answer.send(outcome);
        }
        while self.tasks.join_next().await.is_some() {}
    }

    async fn renew(&mut self, config: RelayerConfig, keys: KeySet) -> Result<(), ReloadError> {
        let fixed = self.config.keys_that_need_a_restart(&config);
        if !fixed.is_empty() {
            return Err(ReloadError::NeedsRestart(fixed));
        }
        let certificate = self.tls.as_ref().map(|tls| tls.changed()).transpose()?.flatten();
        let old = self.pipeline.reception.current.load_full();
        let labels = (endpoint_labels(&self.config), endpoint_labels(&config));
        let (before, metrics) = (old.clone(), self.pipeline.metrics.clone());
        // Reads root certificates, for each server with TLS.
        let preparing = tokio::task::spawn_blocking(move || {
            let services = Services::new(Some(&before), &config, &metrics);
            (services, config)
        });
        let (services, config) = preparing.await.expect("preparing services does not panic");
        let services = match services {
            Ok(services) => services,
            Err(error) => {
                self.forget(&labels.1, &labels.0);
                return Err(error.into());
            }
        };

        services.begin(Some(&old));
        let reception = &self.pipeline.reception;
        reception.current.store(services.into());
        reception.keys.replace(keys);
        self.pipeline.limits.store(PortLimits::of(&config).into());
        if let Some(meter) = &self.meter {
            meter.follow(config.services.keys().cloned().collect());
        }
        if let (Some(tls), Some(certificate)) = (&self.tls, certificate) {
            tls.take(certificate);
        }
        self.forget(&labels.0, &labels.1);
        self.config = config;
        Ok(())
    }

    /// Takes endpoints that are in `gone` alone out of what metrics show as healthy or not.
    fn forget(&self, gone: &BTreeSet<(String, String)>, kept: &BTreeSet<(String, String)>) {
        for (pool, endpoint) in gone.difference(kept) {
            self.pipeline.metrics.pools.forget(pool, endpoint);
        }
    }

    /// Watches the backends of the services that are served now, and no others.
    fn watch(&mut self, cancel: &CancellationToken) {
        let services = self.pipeline.reception.current.load_full();
        let current: Vec<_> = services.backends().cloned().collect();
        let is_in = |some: &[Arc<Backends>], one: &Arc<Backends>| some.iter().any(|other| Arc::ptr_eq(other, one));
        self.watched.retain(|(backends, ended)| {
            let stays = is_in(&current, backends);
            if !stays {
                ended.cancel();
            }
            stays
        });
        let known: Vec<_> = self.watched.iter().map(|(backends, _)| backends.clone()).collect();
        for backends in current.into_iter().filter(|backends| !is_in(&known, backends)) {
            let ended = cancel.child_token();
            watch_all(backends.pool(), backends.watched(), &mut self.tasks, &ended);
            for endpoint in backends.pool().endpoints() {
                let (connection, ended) = (endpoint.connection.clone(), ended.clone());
                self.tasks.spawn(async move {
                    ended.run_until_cancelled(connection.keep_warm()).await;
                });
            }
            self.watched.push((backends, ended));
        }
    }
}
