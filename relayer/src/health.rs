//! What load balancers ask on the relay port (spec `relay.md` §8).

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use pocket_protocol::Height;
use serde_json::json;

use crate::pool::State;
use crate::service::Services;

/// The answer to a request that is no relay; `None` for a relay.
pub(crate) fn answer(path: &str, services: &Services, height: Height) -> Option<Response<Full<Bytes>>> {
    match path {
        "/health" | "/healthz" | "/ready" => Some(json_response(
            StatusCode::OK,
            &json!({"status": "healthy", "block_height": height.0}),
        )),
        _ => path
            .strip_prefix("/ready/")
            .map(|service| readiness(service, services, height)),
    }
}

/// Whether a service has a backend to send relays to.
pub(crate) fn readiness(id: &str, services: &Services, height: Height) -> Response<Full<Bytes>> {
    if id.is_empty() {
        return json_response(
            StatusCode::BAD_REQUEST,
            &json!({"error": "service_id path parameter is required"}),
        );
    }
    let Some(service) = services.get(id) else {
        let body = json!({"service_id": id, "ready": false, "block_height": height.0, "error": "unknown service"});
        return json_response(StatusCode::NOT_FOUND, &body);
    };
    let endpoints: Vec<_> = service
        .routes()
        .flat_map(|route| {
            let pool = route.backends.pool();
            let now = pool.now();
            pool.endpoints().iter().map(move |endpoint| {
                json!({
                    "name": &*endpoint.name,
                    "rpc_type": route.kind.as_str(),
                    "url": endpoint.connection.target().origin(),
                    "healthy": endpoint.state(now) == State::Closed,
                    "state": endpoint.state(now).label(),
                })
            })
        })
        .collect();
    let healthy = endpoints.iter().filter(|endpoint| endpoint["healthy"] == true).count();
    let ready = service.routes().any(|route| route.backends.pool().is_available());
    let max_connections = service
        .routes()
        .next()
        .and_then(|route| route.backends.max_connections_per_host());
    let mut body = json!({
        "service_id": id,
        "ready": ready,
        "block_height": height.0,
        "pool": {"max_conns_per_host": max_connections.unwrap_or(0)},
        "backends": {"total": endpoints.len(), "healthy": healthy, "endpoints": endpoints},
    });
    if !ready {
        body["error"] = json!("no healthy backend");
    }
    json_response(
        if ready {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        },
        &body,
    )
}

fn json_response(status: StatusCode, body: &serde_json::Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.to_string().into()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
