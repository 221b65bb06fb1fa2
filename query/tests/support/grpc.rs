//! The gRPC services, as far as the tests ask.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use pocket_proto::cosmos::auth::v1beta1 as auth;
use pocket_proto::cosmos::base::abci::v1beta1::TxResponse;
use pocket_proto::cosmos::base::query::v1beta1::PageResponse;
use pocket_proto::cosmos::base::tendermint::v1beta1 as node_info;
use pocket_proto::cosmos::tx::v1beta1 as tx;
use pocket_proto::pocket::{proof, service, session, shared};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use tower::util::MapFutureLayer;

use super::Node;

pub async fn serve(node: Arc<Node>, stop: CancellationToken) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let own = node.clone();
    let server = tonic::transport::Server::builder()
        .layer(MapFutureLayer::new(move |answer| {
            let own = own.clone();
            async move {
                own.answers().await;
                if own.is_dead.load(Ordering::SeqCst) {
                    return Ok(Status::unavailable("the node is dead").into_http());
                }
                answer.await
            }
        }))
        .add_service(node_info::service_server::ServiceServer::new(Grpc(node.clone())))
        .add_service(auth::query_server::QueryServer::new(Grpc(node.clone())))
        .add_service(tx::service_server::ServiceServer::new(Grpc(node.clone())))
        .add_service(shared::query_server::QueryServer::new(Grpc(node.clone())))
        .add_service(session::query_server::QueryServer::new(Grpc(node.clone())))
        .add_service(service::query_server::QueryServer::new(Grpc(node.clone())))
        .add_service(proof::query_server::QueryServer::new(Grpc(node)))
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), stop.cancelled_owned());
    tokio::spawn(server);
    address
}

struct Grpc(Arc<Node>);

impl Grpc {
    fn height(&self) -> i64 {
        *self.0.head.borrow() - self.0.lag.load(Ordering::SeqCst)
    }

    /// Counts the query, fails it if it is its turn, and stamps the answer with the height.
    fn answer<T>(&self, answer: Result<T, Status>) -> Result<Response<T>, Status> {
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        let less = |left: u32| left.checked_sub(1);
        if self
            .0
            .failures
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less)
            .is_ok()
        {
            return Err(Status::unavailable("not now"));
        }
        let height = self.height().to_string().parse().unwrap();
        match answer {
            Ok(message) => {
                let mut response = Response::new(message);
                response.metadata_mut().insert("x-cosmos-block-height", height);
                Ok(response)
            }
            Err(mut status) => {
                status.metadata_mut().insert("x-cosmos-block-height", height);
                Err(status)
            }
        }
    }
}

#[tonic::async_trait]
impl node_info::service_server::Service for Grpc {
    async fn get_node_info(
        &self,
        _: Request<node_info::GetNodeInfoRequest>,
    ) -> Result<Response<node_info::GetNodeInfoResponse>, Status> {
        let network = self.0.network.lock().unwrap().clone();
        let default_node_info = Some(node_info::NodeInfo { network });
        let mut response = Response::new(node_info::GetNodeInfoResponse { default_node_info });
        let height = self.height().to_string().parse().unwrap();
        response.metadata_mut().insert("x-cosmos-block-height", height);
        Ok(response)
    }
}

/// An account that sends a transaction in each block.
#[tonic::async_trait]
impl auth::query_server::Query for Grpc {
    async fn account(
        &self,
        _: Request<auth::QueryAccountRequest>,
    ) -> Result<Response<auth::QueryAccountResponse>, Status> {
        self.answer(Ok(auth::QueryAccountResponse::default()))
    }

    async fn account_info(
        &self,
        request: Request<auth::QueryAccountInfoRequest>,
    ) -> Result<Response<auth::QueryAccountInfoResponse>, Status> {
        let info = auth::BaseAccount {
            address: request.into_inner().address,
            sequence: self.height() as u64,
            ..auth::BaseAccount::default()
        };
        self.answer(Ok(auth::QueryAccountInfoResponse { info: Some(info) }))
    }
}

#[tonic::async_trait]
impl tx::service_server::Service for Grpc {
    async fn simulate(&self, _: Request<tx::SimulateRequest>) -> Result<Response<tx::SimulateResponse>, Status> {
        self.answer(Ok(tx::SimulateResponse::default()))
    }

    async fn broadcast_tx(
        &self,
        _: Request<tx::BroadcastTxRequest>,
    ) -> Result<Response<tx::BroadcastTxResponse>, Status> {
        let code = self.0.refusal.load(Ordering::SeqCst);
        let codespace = if code == 0 { "" } else { "sdk" }.to_owned();
        let answer = self.answer(Ok(tx::BroadcastTxResponse {
            tx_response: Some(TxResponse {
                code,
                codespace,
                ..TxResponse::default()
            }),
        }))?;
        self.0.taken.fetch_add(u32::from(code == 0), Ordering::SeqCst);
        Ok(answer)
    }

    async fn get_tx(&self, _: Request<tx::GetTxRequest>) -> Result<Response<tx::GetTxResponse>, Status> {
        self.answer(Ok(tx::GetTxResponse::default()))
    }
}

fn shared_params() -> shared::Params {
    shared::Params {
        num_blocks_per_session: 10,
        ..Default::default()
    }
}

#[tonic::async_trait]
impl shared::query_server::Query for Grpc {
    async fn params(
        &self,
        _: Request<shared::QueryParamsRequest>,
    ) -> Result<Response<shared::QueryParamsResponse>, Status> {
        let params = (!self.0.nonsense.load(Ordering::SeqCst)).then(shared_params);
        self.answer(Ok(shared::QueryParamsResponse { params }))
    }

    async fn params_at_height(
        &self,
        _: Request<shared::QueryParamsAtHeightRequest>,
    ) -> Result<Response<shared::QueryParamsAtHeightResponse>, Status> {
        let params = Some(shared_params());
        self.answer(Ok(shared::QueryParamsAtHeightResponse { params }))
    }
}

#[tonic::async_trait]
impl session::query_server::Query for Grpc {
    async fn params(
        &self,
        _: Request<session::QueryParamsRequest>,
    ) -> Result<Response<session::QueryParamsResponse>, Status> {
        self.answer(Ok(session::QueryParamsResponse::default()))
    }

    /// As the chain: every reason is `Internal`.
    async fn get_session(
        &self,
        request: Request<session::QueryGetSessionRequest>,
    ) -> Result<Response<session::QueryGetSessionResponse>, Status> {
        let request = request.into_inner();
        self.answer(if request.block_height > self.height() {
            Err(Status::internal("ahead of the last committed height"))
        } else if request.application_address == "nobody" {
            Err(Status::internal("application not found"))
        } else {
            let session = session::Session {
                session_id: format!("starts {}", request.block_height),
                ..Default::default()
            };
            Ok(session::QueryGetSessionResponse { session: Some(session) })
        })
    }
}

#[tonic::async_trait]
impl service::query_server::Query for Grpc {
    async fn params(
        &self,
        _: Request<service::QueryParamsRequest>,
    ) -> Result<Response<service::QueryParamsResponse>, Status> {
        self.answer(Ok(service::QueryParamsResponse::default()))
    }

    async fn service(
        &self,
        request: Request<service::QueryGetServiceRequest>,
    ) -> Result<Response<service::QueryGetServiceResponse>, Status> {
        let service = shared::Service {
            id: request.into_inner().id,
            compute_units_per_relay: 7,
            ..Default::default()
        };
        self.answer(Ok(service::QueryGetServiceResponse { service: Some(service) }))
    }

    async fn all_services(
        &self,
        _: Request<service::QueryAllServicesRequest>,
    ) -> Result<Response<service::QueryAllServicesResponse>, Status> {
        self.answer(Ok(service::QueryAllServicesResponse::default()))
    }

    async fn relay_mining_difficulty_at_height(
        &self,
        _: Request<service::QueryGetRelayMiningDifficultyAtHeightRequest>,
    ) -> Result<Response<service::QueryGetRelayMiningDifficultyAtHeightResponse>, Status> {
        let difficulty = service::RelayMiningDifficulty {
            target_hash: vec![0xff; 31].into(),
            ..Default::default()
        };
        self.answer(Ok(service::QueryGetRelayMiningDifficultyAtHeightResponse {
            relay_mining_difficulty: Some(difficulty),
        }))
    }

    async fn compute_units_per_relay_at_height(
        &self,
        _: Request<service::QueryComputeUnitsPerRelayAtHeightRequest>,
    ) -> Result<Response<service::QueryComputeUnitsPerRelayAtHeightResponse>, Status> {
        self.answer(if self.0.knows_compute_units.load(Ordering::SeqCst) {
            let compute_units_per_relay = 5;
            Ok(service::QueryComputeUnitsPerRelayAtHeightResponse {
                compute_units_per_relay,
            })
        } else {
            Err(Status::unimplemented("unknown method"))
        })
    }
}

#[tonic::async_trait]
impl proof::query_server::Query for Grpc {
    async fn params(
        &self,
        _: Request<proof::QueryParamsRequest>,
    ) -> Result<Response<proof::QueryParamsResponse>, Status> {
        let params = Some(proof::Params::default());
        self.answer(Ok(proof::QueryParamsResponse { params }))
    }

    async fn claim(
        &self,
        _: Request<proof::QueryGetClaimRequest>,
    ) -> Result<Response<proof::QueryGetClaimResponse>, Status> {
        self.answer(Err(Status::not_found("no claim")))
    }

    /// Three pages of one claim each; the second is empty.
    async fn all_claims(
        &self,
        request: Request<proof::QueryAllClaimsRequest>,
    ) -> Result<Response<proof::QueryAllClaimsResponse>, Status> {
        let page = request.into_inner().pagination.unwrap_or_default().key.len();
        let claim = proof::Claim {
            supplier_operator_address: format!("page {page}"),
            ..Default::default()
        };
        let next_key = vec![1; if page < 2 { page + 1 } else { 0 }].into();
        self.answer(Ok(proof::QueryAllClaimsResponse {
            claims: if page == 1 { vec![] } else { vec![claim] },
            pagination: Some(PageResponse { next_key, total: 0 }),
        }))
    }
}
