//! Connections to backends: TCP, and TLS where the URL says so, within the profile's times.

use std::future::{Future, ready};
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use pocket_config::{HttpTransportConfig, TimeoutProfile};
use prometheus::Histogram;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tower_service::Service;

use crate::metrics::observe;
use crate::warm::{Connection, Warm};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How long a connection of gRPC may leave bytes unconfirmed: all calls share it. One whose peer is gone must not take
/// them down for the minutes that TCP would wait by itself; pings of HTTP/2 would do, but gRPC servers hang up on those
/// who ping.
const PEER_GONE: Duration = Duration::from_secs(20);

/// Versions of HTTP that a backend is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Versions {
    /// HTTP/2 where TLS agrees on it, else HTTP/1.1.
    All,
    /// The one that can be upgraded to a WebSocket.
    Http1,
    /// For gRPC; without TLS by prior knowledge.
    Http2,
}

/// Opens connections, and counts how long that takes.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    https: HttpsConnector<HttpConnector>,
    /// For TCP and TLS together; TCP alone has its own limit.
    timeout: Duration,
    dial: Option<Histogram>,
    warm: Option<Arc<Warm>>,
}

impl Connector {
    /// The system's root certificates are read only when `needs_roots`.
    pub fn new(
        timeouts: &TimeoutProfile,
        transport: &HttpTransportConfig,
        needs_roots: bool,
        versions: Versions,
        dial: Option<Histogram>,
    ) -> io::Result<Self> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(transport.tcp_keep_alive);
        tcp.set_connect_timeout(Some(timeouts.dial));
        if versions == Versions::Http2 {
            tcp.set_tcp_user_timeout(Some(PEER_GONE));
        }
        let roots = if needs_roots {
            roots(transport.ca_file.as_deref())?
        } else {
            RootCertStore::empty()
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has the cipher suites of both versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let builder = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http();
        let https = match versions {
            Versions::All => builder.enable_all_versions().wrap_connector(tcp),
            Versions::Http1 => builder.enable_http1().wrap_connector(tcp),
            Versions::Http2 => builder.enable_http2().wrap_connector(tcp),
        };
        Ok(Self {
            https,
            timeout: timeouts.dial + timeouts.tls_handshake,
            dial,
            warm: None,
        })
    }

    /// The same, with up to `most` connections opened beforehand by whoever calls [`Self::keep_warm`].
    pub fn warmed(mut self, most: u32) -> Self {
        self.warm = (most > 0).then(|| Arc::new(Warm::new(most as usize)));
        self
    }

    /// Keeps connections to an address open for relays to come, without end; returns if none are wanted.
    pub async fn keep_warm(&self, address: Uri) {
        let Some(warm) = &self.warm else { return };
        loop {
            for _ in 0..warm.missing() {
                match self.open(address.clone()).await {
                    Ok(connection) => warm.put(connection),
                    // The endpoint's relays and probes judge it; here it is only tried again.
                    Err(_) => break,
                }
            }
            warm.until_due().await;
        }
    }

    fn open(&self, address: Uri) -> impl Future<Output = Result<Connection, BoxError>> + Send + use<> {
        let connecting = tokio::time::timeout(self.timeout, self.https.clone().call(address));
        let dial = self.dial.clone();
        async move {
            let began = Instant::now();
            let connection = connecting.await??;
            if let Some(dial) = dial {
                observe(&dial, began.elapsed());
            }
            Ok(connection)
        }
    }
}

/// The system's root certificates, and those of a file. Single ones that cannot be read are left out.
fn roots(file: Option<&Path>) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if let Some(file) = file {
        let wrong = |error: &dyn std::fmt::Display| io::Error::other(format!("{}: {error}", file.display()));
        for certificate in CertificateDer::pem_file_iter(file).map_err(|error| wrong(&error))? {
            let certificate = certificate.map_err(|error| wrong(&error))?;
            roots.add(certificate).map_err(|error| wrong(&error))?;
        }
    } else if added == 0 {
        let error = found.errors.into_iter().next();
        return Err(error.map_or_else(|| io::Error::other("there are none"), io::Error::other));
    }
    Ok(roots)
}

impl Service<Uri> for Connector {
    type Response = Connection;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Connection, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.https.poll_ready(context)
    }

    fn call(&mut self, address: Uri) -> Self::Future {
        match self.warm.as_ref().and_then(|warm| warm.take()) {
            Some(connection) => Box::pin(ready(Ok(connection))),
            None => Box::pin(self.open(address)),
        }
    }
}
