//! A session that relays can be signed for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use pocket_keys::PublicKey;
use pocket_proto::pocket::service::{RelayRequest, RelayRequestMetadata};
use pocket_proto::pocket::session::SessionHeader;
use pocket_protocol::relay::{encode_request, request_signable_hash};
use pocket_protocol::{Height, SupplierAddress};
use pocket_ring::SignError;

use crate::signatory::RingSigner;
use crate::{Signatory, SigningStyle};

/// A supplier that relays are sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionSupplier {
    /// Its operator's address, which the request names.
    pub address: SupplierAddress,
    /// The key that its answers are verified with.
    pub public_key: PublicKey,
}

/// A session, those of its suppliers that relays are sent to in turn, and the ring that signs.
pub struct RelaySession {
    header: SessionHeader,
    suppliers: Vec<SessionSupplier>,
    signer: Arc<RingSigner>,
    turn: AtomicUsize,
}

impl RelaySession {
    /// A session that is known without asking the chain. There must be a supplier.
    pub fn new(
        header: SessionHeader,
        suppliers: Vec<SessionSupplier>,
        ring: Vec<pocket_ring::PublicKey>,
        signatory: &Signatory,
        style: SigningStyle,
    ) -> Result<Self, SignError> {
        let signer = signatory.ring_signer(ring, style)?;
        Ok(Self::with_signer(header, suppliers, Arc::new(signer)))
    }

    pub(crate) fn with_signer(header: SessionHeader, suppliers: Vec<SessionSupplier>, signer: Arc<RingSigner>) -> Self {
        assert!(!suppliers.is_empty(), "a session without suppliers takes no relays");
        Self {
            header,
            suppliers,
            signer,
            turn: AtomicUsize::new(0),
        }
    }

    /// The header that requests carry.
    pub fn header(&self) -> &SessionHeader {
        &self.header
    }

    /// The session's last block.
    pub fn end(&self) -> Height {
        Height(self.header.session_end_block_height)
    }

    /// The suppliers that relays are sent to.
    pub fn suppliers(&self) -> &[SessionSupplier] {
        &self.suppliers
    }

    /// The keys among which the signer hides.
    pub fn ring(&self) -> &[pocket_ring::PublicKey] {
        self.signer.ring()
    }

    /// The index of the supplier whose turn it is.
    pub(crate) fn next_supplier(&self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed) % self.suppliers.len()
    }

    /// The bytes of a signed request. No two are equal: signatures are random.
    pub(crate) fn signed_request(&self, supplier: usize, payload: &Bytes) -> Bytes {
        let mut request = self.request(supplier, payload.clone());
        let signature = self.sign(&request);
        if let Some(meta) = &mut request.meta {
            meta.signature = signature;
        }
        encode_request(&request)
    }

    /// What a handshake shows: the signature of a request without a payload (spec `relay.md` §5.12).
    pub(crate) fn handshake_signature(&self, supplier: usize) -> Bytes {
        self.sign(&self.request(supplier, Bytes::new()))
    }

    fn request(&self, supplier: usize, payload: Bytes) -> RelayRequest {
        RelayRequest {
            meta: Some(RelayRequestMetadata {
                session_header: Some(self.header.clone()),
                signature: Bytes::new(),
                supplier_operator_address: self.suppliers[supplier].address.to_string(),
            }),
            payload,
        }
    }

    fn sign(&self, request: &RelayRequest) -> Bytes {
        self.signer.sign(&request_signable_hash(request)).to_bytes().into()
    }
}
