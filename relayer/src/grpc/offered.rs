//! What the relay port offers over gRPC beside relays: the standard health service and server reflection.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt as _};
use http::{Request, Response};
use http_body_util::{BodyStream, StreamBody};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::{Status, async_trait};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tower::ServiceExt as _;

use super::Input;
use crate::pipeline::Pipeline;

/// The service that relays are sent to.
const RELAY_SERVICE: &str = "pocket.service.RelayService";
/// Between two looks on behalf of one who watches.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// The services, made once; a call clones handles.
#[derive(Clone, Debug)]
pub(crate) struct Offered {
    routes: Routes,
    stopping: CancellationToken,
}

impl Offered {
    pub fn new(pipeline: Arc<Pipeline>) -> Self {
        let stopping = CancellationToken::new();
        let health = HealthServer::new(Readiness {
            pipeline,
            stopping: stopping.clone(),
        });
        let described = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(pocket_proto::FILE_DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
                .with_service_name(RELAY_SERVICE)
                .with_service_name("grpc.health.v1.Health")
        };
        let told = "the descriptors are compiled in";
        let routes = Routes::new(health)
            .add_service(described().build_v1().expect(told))
            .add_service(described().build_v1alpha().expect(told));
        Self {
            routes: routes.prepare(),
            stopping,
        }
    }

    /// Tells those who watch that this ends, and ends open conversations.
    pub fn stop(&self) {
        self.stopping.cancel();
    }

    /// Answers a call to one of them.
    pub async fn call(&self, request: Request<Input>) -> Response<tonic::body::Body> {
        let request = request.map(|input| match input {
            Input::Read(bytes) => tonic::body::Body::new(http_body_util::Full::new(bytes)),
            // Who leaves a conversation open must not hold up the shutdown.
            Input::Socket(incoming) => tonic::body::Body::new(StreamBody::new(
                BodyStream::new(incoming).take_until(self.stopping.clone().cancelled_owned()),
            )),
        });
        match self.routes.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

/// Answers for the process, for the relay service, and for each service by its id.
#[derive(Clone)]
struct Readiness {
    pipeline: Arc<Pipeline>,
    stopping: CancellationToken,
}

impl Readiness {
    /// `None` for what is not known here.
    fn status(&self, service: &str) -> Option<ServingStatus> {
        let is_serving = match service {
            "" | RELAY_SERVICE => self.pipeline.not_ready().is_empty(),
            id => {
                let services = self.pipeline.reception.services();
                let service = services.get(id)?;
                service.routes().any(|route| route.backends.pool().is_available())
            }
        };
        Some(if is_serving && !self.stopping.is_cancelled() {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        })
    }
}

#[async_trait]
impl Health for Readiness {
    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn check(
        &self,
        request: tonic::Request<HealthCheckRequest>,
    ) -> Result<tonic::Response<HealthCheckResponse>, Status> {
        let status = self.status(&request.get_ref().service);
        let status = status.ok_or_else(|| Status::not_found("unknown service"))?;
        Ok(tonic::Response::new(answer(status)))
    }

    async fn watch(
        &self,
        request: tonic::Request<HealthCheckRequest>,
    ) -> Result<tonic::Response<Self::WatchStream>, Status> {
        let watching = (self.clone(), request.into_inner().service, None);
        let changes = stream::unfold(watching, |(readiness, service, last)| async move {
            loop {
                let now = readiness.status(&service).unwrap_or(ServingStatus::ServiceUnknown);
                if last != Some(now) {
                    return Some((Ok(answer(now)), (readiness, service, Some(now))));
                }
                let pause = tokio::time::sleep(WATCH_EVERY);
                if readiness.stopping.is_cancelled() {
                    return None;
                }
                readiness.stopping.run_until_cancelled(pause).await;
            }
        });
        Ok(tonic::Response::new(changes.boxed()))
    }
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}
