//! Connections to backends: TCP, and TLS where the URL says so, within the profile's times.

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use pocket_config::{HttpTransportConfig, TimeoutProfile};
use prometheus::Histogram;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tower_service::Service;

use crate::metrics::observe;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

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
}

impl Connector {
    /// The system's root certificates are read only when `needs_roots`. A connection breaks when its peer's system
    /// confirms nothing for the time `unconfirmed`.
    pub fn new(
        timeouts: &TimeoutProfile,
        transport: &HttpTransportConfig,
        needs_roots: bool,
        versions: Versions,
        unconfirmed: Option<Duration>,
        dial: Option<Histogram>,
    ) -> io::Result<Self> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(transport.tcp_keep_alive);
        tcp.set_connect_timeout(Some(timeouts.dial));
        tcp.set_tcp_user_timeout(unconfirmed);
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
        })
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
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.https.poll_ready(context)
    }

    fn call(&mut self, address: Uri) -> Self::Future {
        let connecting = tokio::time::timeout(self.timeout, self.https.call(address));
        let dial = self.dial.clone();
        Box::pin(async move {
            let began = Instant::now();
            let connection = connecting.await??;
            if let Some(dial) = dial {
                observe(&dial, began.elapsed());
            }
            Ok(connection)
        })
    }
}
