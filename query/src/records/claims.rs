//! Claims, as the chain holds them between submission and settlement. Never cached.

use pocket_proto::cosmos::base::query::v1beta1::PageRequest;
use pocket_proto::pocket::proof as proto;
use pocket_protocol::Height;
use proto::query_all_claims_request::Filter;
use proto::query_client::QueryClient;

use crate::grpc::LONGEST_ANSWER;
use crate::{ChainClient, QueryError};

impl ChainClient {
    /// A supplier's claim for a session; `None` only when a node at the height known here has none.
    pub async fn claim(&self, session_id: &str, supplier: &str) -> Result<Option<proto::Claim>, QueryError> {
        let ask = |channel| async move {
            let request = proto::QueryGetClaimRequest {
                session_id: session_id.to_owned(),
                supplier_operator_address: supplier.to_owned(),
            };
            QueryClient::new(channel).claim(request).await
        };
        let take = |answer: proto::QueryGetClaimResponse| answer.claim.ok_or_else(|| QueryError::missing("claim"));
        match self.ask("proof.Claim", Height(0), ask, take).await {
            Ok(answer) => Ok(Some(answer.value)),
            Err(QueryError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All open claims of a supplier, page by page.
    pub async fn claims_of(&self, supplier: &str) -> Result<Vec<proto::Claim>, QueryError> {
        let mut claims = Vec::new();
        let mut page = PageRequest::default();
        loop {
            let request = proto::QueryAllClaimsRequest {
                pagination: Some(page.clone()),
                filter: Some(Filter::SupplierOperatorAddress(supplier.to_owned())),
            };
            let ask = |channel| {
                let request = request.clone();
                async move {
                    let client = QueryClient::new(channel);
                    client
                        .max_decoding_message_size(LONGEST_ANSWER)
                        .all_claims(request)
                        .await
                }
            };
            let answer = self.ask("proof.AllClaims", Height(0), ask, Ok).await?.value;
            claims.extend(answer.claims);
            match answer.pagination {
                // A page may be shorter than its limit; only the key tells the end.
                Some(next) if !next.next_key.is_empty() && next.next_key != page.key => page.key = next.next_key,
                _ => return Ok(claims),
            }
        }
    }
}
