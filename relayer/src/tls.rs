//! TLS towards backends.

use std::io;
use std::sync::Arc;

use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::{ClientConfig, RootCertStore};

/// Versions of HTTP that a backend is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Versions {
    All,
    /// The one that can be upgraded to a WebSocket.
    Http1,
    /// The one of gRPC: with prior knowledge, or agreed on in the TLS handshake.
    Http2,
}

/// Connects over TCP, and over TLS where the URL says so. The system's root certificates are read only when
/// `needs_roots`.
pub(crate) fn connector(
    tcp: HttpConnector,
    needs_roots: bool,
    versions: Versions,
) -> io::Result<HttpsConnector<HttpConnector>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has the cipher suites of both versions");
    let config = if needs_roots {
        builder.with_native_roots()?.with_no_client_auth()
    } else {
        builder
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth()
    };
    let builder = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http();
    Ok(match versions {
        Versions::All => builder.enable_all_versions().wrap_connector(tcp),
        Versions::Http1 => builder.enable_http1().wrap_connector(tcp),
        Versions::Http2 => builder.enable_http2().wrap_connector(tcp),
    })
}
