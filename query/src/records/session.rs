//! Sessions.

use std::sync::Arc;
use std::time::Duration;

use pocket_proto::pocket::session as proto;
use pocket_protocol::{Height, SessionBounds};
use proto::query_client::QueryClient;

use crate::cache::{Hold, Key};
use crate::grpc::LONGEST_ANSWER;
use crate::{ChainClient, QueryError};

/// A session is fixed by its key, but the application in it is of the moment of the query.
const SESSION_HOLDS: Hold = Hold::For(Duration::from_mins(30));

impl ChainClient {
    /// The session of an application and service that contains a height above 0; the same for every height
    /// in it. A session that is not there is [`QueryError::Refused`] with the reason in words; a height
    /// that the node has not committed is [`QueryError::Unavailable`].
    pub async fn session(
        &self,
        application: &str,
        service: &str,
        height: Height,
    ) -> Result<Arc<proto::Session>, QueryError> {
        let params = self.shared_params_at(height).await?;
        let start = SessionBounds::containing(&params, height).start;
        let ask = || async {
            let ask = |channel| async move {
                let request = proto::QueryGetSessionRequest {
                    application_address: application.to_owned(),
                    service_id: service.to_owned(),
                    block_height: start.0,
                };
                let mut client = QueryClient::new(channel).max_decoding_message_size(LONGEST_ANSWER);
                client.get_session(request).await
            };
            let take =
                |answer: proto::QueryGetSessionResponse| answer.session.ok_or_else(|| QueryError::missing("session"));
            let answer = self.ask("session.GetSession", start, ask, take).await?;
            Ok((Arc::new(answer.value), SESSION_HOLDS))
        };
        let key = Key::OfIn(application.to_owned(), service.to_owned(), start);
        self.0.caches.sessions.get(key, ask).await
    }
}
