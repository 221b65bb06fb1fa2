//! `tls`: how gateways reach the relay port.

use std::path::PathBuf;

use crate::codec::{Path, Section};
use crate::reader::Fields;

/// `tls`. With it the relay port speaks TLS alone: HTTP/2 or HTTP/1.1, as the client chooses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// `cert_file`, required: a PEM file with the server's certificate and those between it and a root.
    pub cert_file: PathBuf,
    /// `key_file`, required: a PEM file with its private key.
    pub key_file: PathBuf,
}

impl Section for TlsConfig {
    fn read(fields: &mut Fields<'_, '_>) -> Self {
        Self {
            cert_file: fields.required::<Path>("cert_file"),
            key_file: fields.required::<Path>("key_file"),
        }
    }
}
