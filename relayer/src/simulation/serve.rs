//! The way of a simulated relay: that of a real one, but for charge and mine.

use std::sync::Arc;

use bytes::Bytes;
use pocket_config::RpcType;
use pocket_proto::pocket::service::RelayRequest;
use pocket_protocol::{Height, ServiceId};

use super::{Simulation, Trial};
use crate::answer::sign;
use crate::backend::BackendReply;
use crate::envelope;
use crate::pipeline::{Pipeline, Served, claimed_parties, forward};
use crate::received::{Carrier, ReceivedRelay, Reception, decode, decode_request, envelope_type};
use crate::refusal::{Refusal, Unavailable};
use crate::service::Service;
use crate::stream::{self, Answering};
use crate::verify::Subscription;

impl Pipeline {
    /// Serves one simulated relay over a transport of requests.
    pub async fn serve_simulated(
        self: &Arc<Self>,
        simulation: &Simulation,
        key_id: &[u8],
        carrier: Carrier<'_>,
        body: Bytes,
    ) -> Result<Served, Refusal> {
        let (request, envelope) = decode(body)?;
        let service = configured(&self.reception, &request)?;
        let kind = carrier.kind(&service, envelope_type(&envelope));
        let (relay, trial) = self.admit_simulated(simulation, key_id, request, service, kind).await?;
        let forward = forward(&relay, envelope, carrier, &claimed_parties(&relay)?)?;
        match relay.route().backends.ask_apart(forward).await? {
            BackendReply::Whole(answer) => {
                let key = relay.signing_key.as_ref().ok_or(Refusal::Unsigned)?;
                let Some(signed) = sign(relay.header(), envelope::encode(&answer), key) else {
                    trial.unsigned();
                    return Err(Refusal::Unsigned);
                };
                trial.succeeded();
                Ok(Served::Simulated(signed.wire))
            }
            BackendReply::Stream(stream) => {
                // The place is never used; but a relayer that has none would not serve a stream.
                let slot = self.reserve(&relay.service)?;
                stream::begin(self, Answering::Simulated(relay, trial), slot, stream).map(Served::Stream)
            }
        }
    }

    /// Believes a simulated request frame of a socket that was opened for `service`.
    pub async fn subscribe_simulated(
        &self,
        simulation: &Simulation,
        key_id: &[u8],
        service: &ServiceId,
        frame: Bytes,
    ) -> Result<Subscription, Refusal> {
        let request = decode_request(frame)?;
        let configured = configured(&self.reception, &request)?;
        if request.payload.is_empty() || configured.id != *service {
            return Err(Refusal::Undecodable);
        }
        let kind = Some(RpcType::WebSocket);
        let (relay, trial) = self
            .admit_simulated(simulation, key_id, request, configured, kind)
            .await?;
        Subscription::simulated(relay, trial).ok_or(Refusal::Unsigned)
    }

    async fn admit_simulated(
        &self,
        simulation: &Simulation,
        key_id: &[u8],
        request: RelayRequest,
        service: Arc<Service>,
        kind: Option<RpcType>,
    ) -> Result<(ReceivedRelay, Trial), Refusal> {
        let supplier = request.meta.as_ref().map_or("", |meta| &meta.supplier_operator_address);
        let signing_key = self.reception.keys.get(supplier);
        let trial = simulation
            .admit(key_id, &request, &service, kind, signing_key.is_some())
            .await
            .map_err(Refusal::Simulation)?;
        let no_backend = || Refusal::Unavailable {
            service: service.id.as_str().to_owned(),
            reason: Unavailable::NoBackend,
        };
        let kind = kind
            .filter(|kind| service.route(*kind).is_some())
            .ok_or_else(no_backend)?;
        let in_flight = simulation.in_flight().ok_or_else(no_backend)?;
        let relay = ReceivedRelay {
            request,
            service,
            kind,
            signing_key,
            arrival: Height(0),
            in_flight,
            place: None,
        };
        Ok((relay, trial))
    }
}

/// The service that a request names, if it is served here at all.
fn configured(reception: &Reception, request: &RelayRequest) -> Result<Arc<Service>, Refusal> {
    if reception.keys.is_empty() {
        return Err(Refusal::NotConfigured);
    }
    let header = request.meta.as_ref().and_then(|meta| meta.session_header.as_ref());
    let id = header.map_or("", |header| &header.service_id);
    let service = reception.services().get(id).cloned();
    service.ok_or_else(|| Refusal::UnknownService(id.to_owned()))
}
