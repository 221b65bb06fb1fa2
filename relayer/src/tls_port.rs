//! TLS towards gateways: the certificate of the relay port, read again when its files change.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use pocket_config::TlsConfig;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

/// How long a client may take for the handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Between two looks at the files.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Why the relay port cannot speak TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or holds no such thing.
    #[error("tls.{key}: {file}: {reason}")]
    File {
        /// The configuration's key.
        key: &'static str,
        /// The file's path.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The certificate and the key do not fit together.
    #[error("tls: certificate and key cannot be used: {0}")]
    Pair(#[from] rustls::Error),
}

/// The TLS side of the relay port.
pub(crate) struct TlsPort {
    files: TlsConfig,
    current: ArcSwap<Loaded>,
}

/// A certificate with its key.
pub(crate) struct Loaded {
    /// The files' bytes, to tell whether they have changed.
    pem: [Zeroizing<Vec<u8>>; 2],
    server: Arc<ServerConfig>,
}

impl TlsPort {
    /// Reads both files.
    pub fn load(files: &TlsConfig) -> Result<Self, TlsError> {
        let loaded = Loaded::of(read_both(files)?, files)?;
        Ok(Self {
            files: files.clone(),
            current: ArcSwap::from_pointee(loaded),
        })
    }

    /// Shakes hands with a client.
    pub async fn accept(&self, socket: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let server = self.current.load().server.clone();
        match tokio::time::timeout(HANDSHAKE, TlsAcceptor::from(server).accept(socket)).await {
            Ok(accepted) => accepted,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Takes new certificates into use until `cancel`. Open connections keep theirs; files that are wrong change
    /// nothing.
    pub async fn follow_files(&self, cancel: CancellationToken) {
        while cancel
            .run_until_cancelled(tokio::time::sleep(LOOK_EVERY))
            .await
            .is_some()
        {
            match self.look() {
                Ok(true) => tracing::info!("new certificate in use"),
                Ok(false) => {}
                Err(error) => tracing::error!(%error, "certificate cannot be renewed: the old one stays in use"),
            }
        }
    }

    /// Reads the files again; `true` when they have changed. They are a few kilobytes.
    fn look(&self) -> Result<bool, TlsError> {
        let changed = self.changed()?;
        let has_changed = changed.is_some();
        if let Some(changed) = changed {
            self.take(changed);
        }
        Ok(has_changed)
    }

    /// What the files hold now, if that is not what is in use.
    pub fn changed(&self) -> Result<Option<Loaded>, TlsError> {
        let pem = read_both(&self.files)?;
        if pem == self.current.load().pem {
            return Ok(None);
        }
        Loaded::of(pem, &self.files).map(Some)
    }

    /// Uses a certificate for connections to come.
    pub fn take(&self, certificate: Loaded) {
        self.current.store(Arc::new(certificate));
    }
}

/// Whether the relay port could use these files.
pub fn check_tls(files: &TlsConfig) -> Result<(), TlsError> {
    TlsPort::load(files).map(drop)
}

fn read_both(files: &TlsConfig) -> Result<[Zeroizing<Vec<u8>>; 2], TlsError> {
    let read = |key, path: &Path| {
        std::fs::read(path)
            .map(Zeroizing::new)
            .map_err(|error| wrong(key, path, &error))
    };
    Ok([read("cert_file", &files.cert_file)?, read("key_file", &files.key_file)?])
}

fn wrong(key: &'static str, path: &Path, reason: &dyn std::fmt::Display) -> TlsError {
    TlsError::File {
        key,
        file: path.display().to_string(),
        reason: reason.to_string(),
    }
}

impl Loaded {
    fn of(pem: [Zeroizing<Vec<u8>>; 2], files: &TlsConfig) -> Result<Self, TlsError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem[0]).collect();
        let chain = chain.map_err(|error| wrong("cert_file", &files.cert_file, &error))?;
        if chain.is_empty() {
            return Err(wrong("cert_file", &files.cert_file, &"holds no certificate"));
        }
        let key = PrivateKeyDer::from_pem_slice(&pem[1]).map_err(|error| wrong("key_file", &files.key_file, &error))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            pem,
            server: Arc::new(server),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path) -> TlsConfig {
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let files = TlsConfig {
            cert_file: folder.join("cert.pem"),
            key_file: folder.join("key.pem"),
        };
        std::fs::write(&files.cert_file, certified.cert.pem()).unwrap();
        std::fs::write(&files.key_file, certified.signing_key.serialize_pem()).unwrap();
        files
    }

    #[test]
    fn new_certificate_is_taken_and_a_broken_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let files = write(folder.path());
        let port = TlsPort::load(&files).unwrap();
        assert!(!port.look().unwrap());
        let first = port.current.load().server.clone();
        write(folder.path());
        assert!(port.look().unwrap());
        let second = port.current.load().server.clone();
        assert!(!Arc::ptr_eq(&first, &second));
        std::fs::write(&files.cert_file, "half a certificate").unwrap();
        assert!(port.look().is_err());
        assert!(Arc::ptr_eq(&second, &port.current.load().server));
    }

    #[test]
    fn missing_file_and_foreign_key_are_named() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut files = write(folder.path());
        files.key_file = write(other.path()).key_file;
        assert!(matches!(TlsPort::load(&files), Err(TlsError::Pair(_))));
        files.key_file = folder.path().join("nothing.pem");
        let error = TlsPort::load(&files).err().unwrap().to_string();
        assert!(
            error.starts_with("tls.key_file: ") && error.contains("nothing.pem"),
            "{error}"
        );
    }
}
