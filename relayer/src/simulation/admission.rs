//! Whether a simulated relay is served: the spec's checks in the spec's order.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pocket_config::RpcType;
use pocket_proto::pocket::service::RelayRequest;
use pocket_proto::pocket::session::SessionHeader;
use pocket_protocol::admission;
use pocket_protocol::relay::request_signable_hash;
use pocket_ring::RingSignature;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use super::{Identity, NotAdmitted, Simulation, Trial};
use crate::metrics::UNKNOWN;
use crate::service::Service;

/// How long Redis may take to say whether a relay is new.
const REPLAY_LOOKUP: Duration = Duration::from_secs(1);

impl Simulation {
    /// Admits a relay of a configured service, or counts and tells why not. `is_ours` says whether its supplier's key
    /// is loaded.
    pub async fn admit(
        &self,
        key_id: &[u8],
        request: &RelayRequest,
        service: &Service,
        kind: Option<RpcType>,
        is_ours: bool,
    ) -> Result<Trial, NotAdmitted> {
        let began = match self.begin() {
            Ok(trial) => self.check(key_id, request, service, is_ours).await.map(|()| trial),
            Err(busy) => Err(busy),
        };
        let meta = request.meta.as_ref().filter(|_| is_ours);
        let supplier = meta.map_or(UNKNOWN, |meta| &meta.supplier_operator_address);
        match began {
            Ok(mut trial) => {
                trial.kind = kind.unwrap_or(trial.kind);
                service.id.as_str().clone_into(&mut trial.service);
                supplier.clone_into(&mut trial.supplier);
                Ok(trial)
            }
            Err(why) => {
                let kind = kind.map_or(UNKNOWN, RpcType::as_str);
                let labels = [kind, service.id.as_str(), supplier, why.label()];
                self.metrics.relays.with_label_values(&labels).inc();
                Err(why)
            }
        }
    }

    async fn check(
        &self,
        key_id: &[u8],
        request: &RelayRequest,
        service: &Service,
        is_ours: bool,
    ) -> Result<(), NotAdmitted> {
        let key_id = std::str::from_utf8(key_id).map_err(|_| NotAdmitted::UnknownKeyId)?;
        let identity = self.identities.get(key_id).ok_or(NotAdmitted::UnknownKeyId)?;
        let now = OffsetDateTime::now_utc();
        if !identity.is_enabled {
            return Err(NotAdmitted::Disabled);
        }
        if identity.not_after.is_some_and(|last| now > last) {
            return Err(NotAdmitted::Expired);
        }
        let meta = request.meta.as_ref().ok_or(NotAdmitted::Malformed)?;
        if meta.supplier_operator_address.is_empty() {
            return Err(NotAdmitted::SupplierMissing);
        }
        if !is_ours {
            return Err(NotAdmitted::SupplierNotLoaded);
        }
        let header = admission::basic_request(request).map_err(|_| NotAdmitted::Malformed)?;
        self.check_header(identity, header, service, unix_now())?;
        // Strict: a byte more would be another signature, and the same request a new one.
        let signature = RingSignature::parse(&meta.signature).map_err(|_| NotAdmitted::Signature)?;
        let hash: [u8; 32] = Sha256::digest(&meta.signature).into();
        // A time may lie up to one window ahead, and is good for one more after it.
        let noted = self.store.note_simulated(&hash, 2 * self.window);
        match tokio::time::timeout(REPLAY_LOOKUP, noted).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => return Err(NotAdmitted::Replay),
            Ok(Err(_)) | Err(_) => return Err(NotAdmitted::ReplayStoreUnavailable),
        }
        self.rings
            .verify(&request_signable_hash(request), &signature, &identity.ring)
            .map_err(|_| NotAdmitted::Signature)?;
        // Last: who only knows an identity's name cannot use up its rate.
        if !identity.rate.lock().take(Instant::now()) {
            return Err(NotAdmitted::RateLimited);
        }
        Ok(())
    }

    fn check_header(
        &self,
        identity: &Identity,
        header: &SessionHeader,
        service: &Service,
        now: i64,
    ) -> Result<(), NotAdmitted> {
        if header.application_address != identity.application.as_str() {
            return Err(NotAdmitted::IdentityMismatch);
        }
        if !identity.services.is_empty() && !identity.services.contains(&service.id) {
            return Err(NotAdmitted::ServiceNotAllowed);
        }
        let said = time_in(&header.session_id).ok_or(NotAdmitted::SessionId)?;
        if now.abs_diff(said) >= self.window.as_secs() {
            return Err(NotAdmitted::Stale);
        }
        Ok(())
    }
}

/// The unix seconds in `simv1:<seconds>:<nonce>`.
fn time_in(session_id: &str) -> Option<i64> {
    let mut parts = session_id.split(':');
    let (tag, time, nonce) = (parts.next()?, parts.next()?, parts.next()?);
    if tag != "simv1" || nonce.is_empty() || parts.next().is_some() {
        return None;
    }
    time.parse().ok()
}

fn unix_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_id_has_three_parts_with_a_time_and_a_nonce() {
        assert_eq!(time_in("simv1:1700000000:0011223344556677"), Some(1_700_000_000));
        for bad in [
            "",
            "simv1",
            "simv1:1700000000",
            "simv1:1700000000:",
            "simv1:x:00",
            "simv2:1700000000:00",
            "simv1:1700000000:00:11",
        ] {
            assert_eq!(time_in(bad), None, "{bad}");
        }
    }
}
