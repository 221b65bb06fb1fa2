//! Cosmos and Pocket queries over gRPC, and the same through `abci_query`.

use std::sync::Arc;

use bytes::Bytes;
use pocket_proto::cosmos::auth::v1beta1 as auth;
use pocket_proto::cosmos::bank::v1beta1 as bank;
use pocket_proto::cosmos::base::abci::v1beta1::{GasInfo, Result as AbciResult, TxResponse};
use pocket_proto::cosmos::base::tendermint::v1beta1 as node;
use pocket_proto::cosmos::tx::v1beta1 as tx;
use pocket_proto::pocket::{application, gateway, proof, service, session, shared, supplier};
use prost::Message as _;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Response, Status};

use crate::chain::{Chain, TxResult, View};
use crate::node::{Broadcast, Node, tx_hash};
use crate::query;

/// Both ways: the height whose state is asked for, and the one that answered.
const HEIGHT: &str = "x-cosmos-block-height";
/// A block's worth of large proofs.
const MAX_MESSAGE: usize = 64 << 20;

/// All gRPC services of a node.
#[derive(Clone, Debug)]
struct Grpc(Arc<Node>);

/// Serves until `stop`.
pub async fn serve(
    node: Arc<Node>,
    listener: TcpListener,
    stop: CancellationToken,
) -> Result<(), tonic::transport::Error> {
    let grpc = Grpc(node);
    macro_rules! services {
        ($($server:path),* $(,)?) => {{
            tonic::transport::Server::builder()
                $(.add_service(<$server>::new(grpc.clone()).max_decoding_message_size(MAX_MESSAGE)))*
        }};
    }
    let router = services!(
        auth::query_server::QueryServer<Grpc>,
        bank::query_server::QueryServer<Grpc>,
        tx::service_server::ServiceServer<Grpc>,
        node::service_server::ServiceServer<Grpc>,
        shared::query_server::QueryServer<Grpc>,
        session::query_server::QueryServer<Grpc>,
        application::query_server::QueryServer<Grpc>,
        supplier::query_server::QueryServer<Grpc>,
        gateway::query_server::QueryServer<Grpc>,
        service::query_server::QueryServer<Grpc>,
        proof::query_server::QueryServer<Grpc>,
    );
    router
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), stop.cancelled_owned())
        .await
}

impl Grpc {
    fn answer<Q, A>(
        &self,
        request: &Request<Q>,
        query: impl FnOnce(View<'_>, &Q) -> Result<A, Status>,
    ) -> Result<Response<A>, Status> {
        self.0.count_query();
        let height = requested_height(request.metadata())?;
        self.0.read(|chain| {
            let view = view(chain, height)?;
            stamped(query(view, request.get_ref()), view.context.height)
        })
    }
}

/// An answer or a refusal with the height of the state that it was read from.
fn stamped<A>(answer: Result<A, Status>, height: i64) -> Result<Response<A>, Status> {
    let height = height.to_string().parse().expect("digits are legal metadata");
    match answer {
        Ok(message) => {
            let mut response = Response::new(message);
            response.metadata_mut().insert(HEIGHT, height);
            Ok(response)
        }
        Err(mut status) => {
            status.metadata_mut().insert(HEIGHT, height);
            Err(status)
        }
    }
}

fn requested_height(metadata: &MetadataMap) -> Result<i64, Status> {
    let Some(text) = metadata.get(HEIGHT) else {
        return Ok(0);
    };
    let height = text
        .to_str()
        .ok()
        .and_then(|text| text.parse().ok())
        .filter(|height| *height >= 0);
    height.ok_or_else(|| Status::invalid_argument(format!("invalid height header {text:?}: invalid request")))
}

/// The state of a height; 0 is the last.
fn view(chain: &Chain, height: i64) -> Result<View<'_>, Status> {
    if height == 0 {
        return Ok(chain.view());
    }
    if height > chain.height() {
        return Err(Status::invalid_argument(
            "cannot query with height in the future; please provide a valid height: invalid height",
        ));
    }
    chain.view_at(height).ok_or_else(|| {
        let last = chain.height();
        Status::invalid_argument(format!(
            "failed to load state at height {height}; version does not exist (latest height: {last}): invalid request"
        ))
    })
}

/// One line per method: how Rust and gRPC call it, and which function answers.
macro_rules! queries {
    ($($server:path, $package:literal {
        $($method:ident $name:literal ($request:ty) -> $response:ty = $query:path;)*
    })*) => {
        $(
            #[tonic::async_trait]
            impl $server for Grpc {
                $(
                    async fn $method(&self, request: Request<$request>) -> Result<Response<$response>, Status> {
                        self.answer(&request, $query)
                    }
                )*
            }
        )*

        /// Answers a gRPC method by its path, as `abci_query` does; none for paths that nobody serves.
        pub fn query_by_path(chain: &Chain, path: &str, data: Bytes, height: i64) -> Option<Result<Vec<u8>, Status>> {
            match path {
                $($(
                    concat!("/", $package, "/", $name) => {
                        let request = <$request>::decode(data);
                        let request = request.map_err(|error| Status::invalid_argument(error.to_string()));
                        let answer = request
                            .and_then(|request| $query(view(chain, height)?, &request))
                            .map(|answer| answer.encode_to_vec());
                        Some(answer)
                    }
                )*)*
                _ => None,
            }
        }
    };
}

queries! {
    auth::query_server::Query, "cosmos.auth.v1beta1.Query" {
        account "Account"(auth::QueryAccountRequest) -> auth::QueryAccountResponse = query::account;
        account_info "AccountInfo"(auth::QueryAccountInfoRequest) -> auth::QueryAccountInfoResponse = query::account_info;
    }
    bank::query_server::Query, "cosmos.bank.v1beta1.Query" {
        balance "Balance"(bank::QueryBalanceRequest) -> bank::QueryBalanceResponse = query::balance;
        spendable_balance_by_denom "SpendableBalanceByDenom"(bank::QuerySpendableBalanceByDenomRequest)
            -> bank::QuerySpendableBalanceByDenomResponse = query::spendable_balance;
    }
    shared::query_server::Query, "pocket.shared.Query" {
        params "Params"(shared::QueryParamsRequest) -> shared::QueryParamsResponse = query::shared_params;
        params_at_height "ParamsAtHeight"(shared::QueryParamsAtHeightRequest)
            -> shared::QueryParamsAtHeightResponse = query::shared_params_at;
    }
    session::query_server::Query, "pocket.session.Query" {
        params "Params"(session::QueryParamsRequest) -> session::QueryParamsResponse = query::session_params;
        get_session "GetSession"(session::QueryGetSessionRequest) -> session::QueryGetSessionResponse = query::session;
    }
    application::query_server::Query, "pocket.application.Query" {
        params "Params"(application::QueryParamsRequest) -> application::QueryParamsResponse = query::application_params;
        application "Application"(application::QueryGetApplicationRequest)
            -> application::QueryGetApplicationResponse = query::application;
        all_applications "AllApplications"(application::QueryAllApplicationsRequest)
            -> application::QueryAllApplicationsResponse = query::all_applications;
    }
    supplier::query_server::Query, "pocket.supplier.Query" {
        params "Params"(supplier::QueryParamsRequest) -> supplier::QueryParamsResponse = query::supplier_params;
        supplier "Supplier"(supplier::QueryGetSupplierRequest) -> supplier::QueryGetSupplierResponse = query::supplier;
        all_suppliers "AllSuppliers"(supplier::QueryAllSuppliersRequest)
            -> supplier::QueryAllSuppliersResponse = query::all_suppliers;
    }
    gateway::query_server::Query, "pocket.gateway.Query" {
        gateway "Gateway"(gateway::QueryGetGatewayRequest) -> gateway::QueryGetGatewayResponse = query::gateway;
    }
    service::query_server::Query, "pocket.service.Query" {
        params "Params"(service::QueryParamsRequest) -> service::QueryParamsResponse = query::service_params;
        service "Service"(service::QueryGetServiceRequest) -> service::QueryGetServiceResponse = query::service;
        all_services "AllServices"(service::QueryAllServicesRequest)
            -> service::QueryAllServicesResponse = query::all_services;
        relay_mining_difficulty_at_height "RelayMiningDifficultyAtHeight"(
            service::QueryGetRelayMiningDifficultyAtHeightRequest)
            -> service::QueryGetRelayMiningDifficultyAtHeightResponse = query::difficulty_at;
        compute_units_per_relay_at_height "ComputeUnitsPerRelayAtHeight"(
            service::QueryComputeUnitsPerRelayAtHeightRequest)
            -> service::QueryComputeUnitsPerRelayAtHeightResponse = query::compute_units_at;
    }
    proof::query_server::Query, "pocket.proof.Query" {
        params "Params"(proof::QueryParamsRequest) -> proof::QueryParamsResponse = query::proof_params;
        claim "Claim"(proof::QueryGetClaimRequest) -> proof::QueryGetClaimResponse = query::claim;
        all_claims "AllClaims"(proof::QueryAllClaimsRequest) -> proof::QueryAllClaimsResponse = query::all_claims;
    }
}

/// Asked to see whether the node is there: not counted among the queries.
#[tonic::async_trait]
impl node::service_server::Service for Grpc {
    async fn get_node_info(
        &self,
        _: Request<node::GetNodeInfoRequest>,
    ) -> Result<Response<node::GetNodeInfoResponse>, Status> {
        self.0.read(|chain| {
            let network = chain.chain_id().to_owned();
            let default_node_info = Some(node::NodeInfo { network });
            stamped(Ok(node::GetNodeInfoResponse { default_node_info }), chain.height())
        })
    }
}

#[tonic::async_trait]
impl tx::service_server::Service for Grpc {
    async fn simulate(&self, request: Request<tx::SimulateRequest>) -> Result<Response<tx::SimulateResponse>, Status> {
        let bytes = request.into_inner().tx_bytes;
        if bytes.is_empty() {
            return Err(Status::invalid_argument("empty txBytes is not allowed"));
        }
        let height = self.0.read(Chain::height);
        let answer = self.0.simulate(&bytes).map(|gas_used| tx::SimulateResponse {
            gas_info: Some(GasInfo {
                gas_wanted: u64::MAX,
                gas_used,
            }),
            result: Some(AbciResult::default()),
        });
        stamped(
            answer.map_err(|error| Status::new(Code::Unknown, error.to_string())),
            height,
        )
    }

    async fn broadcast_tx(
        &self,
        request: Request<tx::BroadcastTxRequest>,
    ) -> Result<Response<tx::BroadcastTxResponse>, Status> {
        let request = request.into_inner();
        if request.tx_bytes.is_empty() {
            return Err(Status::invalid_argument("invalid empty tx"));
        }
        let response = broadcast_response(&self.0.broadcast(&request.tx_bytes), &request.tx_bytes);
        let tx_response = Some(response);
        stamped(Ok(tx::BroadcastTxResponse { tx_response }), self.0.read(Chain::height))
    }

    async fn get_tx(&self, request: Request<tx::GetTxRequest>) -> Result<Response<tx::GetTxResponse>, Status> {
        let text = request.into_inner().hash;
        let not_found = || Status::not_found(format!("tx not found: {text}"));
        let hash = hex::decode(&text).ok().and_then(|hash| hash.try_into().ok());
        let hash = hash.ok_or_else(|| Status::invalid_argument(format!("{text} is no transaction hash")))?;
        let (block, index) = self.0.find(&hash).ok_or_else(not_found)?;
        let raw = tx::TxRaw::decode(block.txs[index].clone()).map_err(|error| Status::internal(error.to_string()))?;
        let decoded = tx::Tx {
            body: tx::TxBody::decode(raw.body_bytes).ok(),
            auth_info: tx::AuthInfo::decode(raw.auth_info_bytes).ok(),
            signatures: raw.signatures,
        };
        let response = TxResponse {
            height: block.height,
            ..tx_response(&block.results[index], &hash)
        };
        Ok(Response::new(tx::GetTxResponse {
            tx: Some(decoded),
            tx_response: Some(response),
        }))
    }
}

fn broadcast_response(outcome: &Broadcast, bytes: &[u8]) -> TxResponse {
    // The SDK makes codes of the mempool's own refusals, without a text.
    let code = match outcome {
        Broadcast::Checked(result) => return tx_response(result, &tx_hash(bytes)),
        Broadcast::Known => 19,
        Broadcast::Full => 20,
        Broadcast::TooLarge(_) => 21,
    };
    TxResponse {
        code,
        codespace: "sdk".to_owned(),
        txhash: hex::encode_upper(tx_hash(bytes)),
        ..TxResponse::default()
    }
}

fn tx_response(result: &TxResult, hash: &[u8]) -> TxResponse {
    TxResponse {
        height: 0,
        txhash: hex::encode_upper(hash),
        codespace: result.codespace.clone(),
        code: result.code,
        raw_log: result.log.clone(),
        gas_wanted: result.gas_wanted as i64,
        gas_used: result.gas_used as i64,
        ..TxResponse::default()
    }
}
