//! Accounts, simulation and broadcast.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use pocket_proto::cosmos::auth::v1beta1 as auth;
use pocket_proto::cosmos::base::abci::v1beta1::{GasInfo, TxResponse};
use pocket_proto::cosmos::tx::v1beta1 as tx;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::{GAS, Node, auth_info, body};

pub async fn serve(node: Arc<Mutex<Node>>, stop: CancellationToken) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tonic::transport::Server::builder()
        .add_service(auth::query_server::QueryServer::new(Grpc(node.clone())))
        .add_service(tx::service_server::ServiceServer::new(Grpc(node)))
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), stop.cancelled_owned());
    tokio::spawn(server);
    address
}

struct Grpc(Arc<Mutex<Node>>);

/// The ante handler's check of the sequence: its log when it fails.
fn wrong_sequence(node: &Node, bytes: &[u8]) -> Option<String> {
    let (expected, got) = (node.sequence, auth_info(bytes).signer_infos[0].sequence);
    (!body(bytes).unordered && expected != got)
        .then(|| format!("account sequence mismatch, expected {expected}, got {got}: incorrect account sequence"))
}

#[tonic::async_trait]
impl auth::query_server::Query for Grpc {
    async fn account(
        &self,
        _: Request<auth::QueryAccountRequest>,
    ) -> Result<Response<auth::QueryAccountResponse>, Status> {
        Err(Status::unimplemented("not asked"))
    }

    async fn account_info(
        &self,
        _: Request<auth::QueryAccountInfoRequest>,
    ) -> Result<Response<auth::QueryAccountInfoResponse>, Status> {
        let info = auth::BaseAccount {
            account_number: 3,
            sequence: self.0.lock().sequence,
            ..Default::default()
        };
        Ok(Response::new(auth::QueryAccountInfoResponse { info: Some(info) }))
    }
}

#[tonic::async_trait]
impl tx::service_server::Service for Grpc {
    async fn simulate(&self, request: Request<tx::SimulateRequest>) -> Result<Response<tx::SimulateResponse>, Status> {
        let mut node = self.0.lock();
        node.simulations += 1;
        let refusal = wrong_sequence(&node, &request.into_inner().tx_bytes).or(node.simulation.clone());
        match refusal {
            Some(log) => Err(Status::unknown(format!("{log} with gas used: '6000'"))),
            None => Ok(Response::new(tx::SimulateResponse {
                gas_info: Some(GasInfo {
                    gas_used: GAS,
                    ..Default::default()
                }),
                result: None,
            })),
        }
    }

    async fn broadcast_tx(
        &self,
        request: Request<tx::BroadcastTxRequest>,
    ) -> Result<Response<tx::BroadcastTxResponse>, Status> {
        let bytes = request.into_inner().tx_bytes;
        let mut node = self.0.lock();
        node.offered.push(bytes.clone());
        let (code, raw_log) = if let Some((code, log)) = node.refuse.take() {
            (code, log.to_owned())
        } else if node.mempool.contains(&bytes) {
            (19, String::new())
        } else if let Some(log) = wrong_sequence(&node, &bytes) {
            (32, log)
        } else {
            node.sequence += u64::from(!body(&bytes).unordered);
            node.mempool.push(bytes);
            (0, String::new())
        };
        if node.lose_answers > 0 {
            node.lose_answers -= 1;
            return Err(Status::unavailable("the connection broke"));
        }
        let tx_response = Some(TxResponse {
            codespace: if code == 0 { "" } else { "sdk" }.to_owned(),
            code,
            raw_log,
            ..Default::default()
        });
        Ok(Response::new(tx::BroadcastTxResponse { tx_response }))
    }

    async fn get_tx(&self, _: Request<tx::GetTxRequest>) -> Result<Response<tx::GetTxResponse>, Status> {
        Err(Status::internal("transaction indexing is disabled"))
    }
}
