//! Which headers go to a backend, and which come back.
//!
//! Rule: spec `relay.md` §5.7 and §5.3. Hop-by-hop headers belong to one connection and pass neither way.

use std::collections::BTreeMap;

use base64::Engine as _;
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use pocket_config::{Authentication, BackendConfig};
use pocket_proto::sdk::types::Header;

use crate::backend::BackendError;

pub(crate) const SUPPLIER: HeaderName = HeaderName::from_static("pocket-supplier");
pub(crate) const SERVICE: HeaderName = HeaderName::from_static("pocket-service");
const APPLICATION: HeaderName = HeaderName::from_static("pocket-application");
const IDENTITY: HeaderValue = HeaderValue::from_static("identity");

/// Outer headers that stand in where the inner request says nothing. `Accept-Encoding` would be the fourth, but is
/// always overwritten.
const STAND_INS: [HeaderName; 3] = [header::CONTENT_TYPE, header::ACCEPT, header::USER_AGENT];

/// On whose behalf a relay is forwarded: the three headers that backends may trust. Cloning copies no text.
#[derive(Clone, Debug)]
pub(crate) struct Parties {
    pub supplier: HeaderValue,
    pub service: HeaderValue,
    pub application: HeaderValue,
}

/// What a backend's configuration adds.
#[derive(Debug)]
pub(crate) struct BackendHeaders(Vec<(HeaderName, HeaderValue)>);

impl BackendHeaders {
    pub fn new(config: &BackendConfig) -> Result<Self, BackendError> {
        let mut headers = Vec::new();
        for (name, value) in &config.headers {
            let wrong = || BackendError::Header(name.as_str().to_owned());
            let value = secret_value(value.expose()).ok_or_else(wrong)?;
            headers.push((name.as_str().parse().map_err(|_| wrong())?, value));
        }
        let credentials = config.authentication.as_ref().map(|way| match way {
            Authentication::Basic { username, password } => {
                let pair = format!("{username}:{}", password.expose());
                format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
            }
            Authentication::Bearer(token) => format!("Bearer {}", token.expose()),
            Authentication::Plain(token) => token.expose().to_owned(),
        });
        if let Some(credentials) = credentials {
            let wrong = || BackendError::Header("authorization".to_owned());
            headers.push((header::AUTHORIZATION, secret_value(&credentials).ok_or_else(wrong)?));
        }
        Ok(Self(headers))
    }

    /// Puts the configured headers over others.
    pub fn put_on(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.0 {
            headers.insert(name, value.clone());
        }
    }

    /// The headers of a backend's request. Inner names and values that cannot stand in a request are left out.
    pub fn for_request(&self, inner: BTreeMap<String, Header>, outer: &HeaderMap, parties: &Parties) -> HeaderMap {
        // One table a relay, large enough not to grow.
        let mut headers = HeaderMap::with_capacity(inner.len() + self.0.len() + 10);
        for (key, several) in inner {
            let Ok(name) = HeaderName::try_from(key) else { continue };
            for value in several.values {
                if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(value)) {
                    headers.append(&name, value);
                }
            }
        }
        remove_hop_by_hop(&mut headers);
        for name in [header::HOST, header::CONTENT_LENGTH] {
            headers.remove(name);
        }
        for name in STAND_INS {
            if let Some(value) = outer.get(&name)
                && !headers.contains_key(&name)
            {
                headers.insert(name, value.clone());
            }
        }
        for name in outer.keys().filter(|name| is_passed_on(name)) {
            headers.insert(name, outer[name].clone());
        }
        self.put_on(&mut headers);
        headers.insert(header::ACCEPT_ENCODING, IDENTITY);
        headers.insert(SUPPLIER, parties.supplier.clone());
        headers.insert(SERVICE, parties.service.clone());
        headers.insert(APPLICATION, parties.application.clone());
        headers
    }
}

/// Whether an outer header is told to the backend. A handshake's signature is as good as a signed request: whoever has
/// it could ask for the base path in the application's name (spec `relay.md` §10, 51).
fn is_passed_on(name: &HeaderName) -> bool {
    name.as_str().starts_with("pocket-") && name != "pocket-signature"
}

fn secret_value(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Whether a header speaks of its connection only (RFC 9110 §7.6.1, and what proxies made of it).
pub(crate) fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// Removes hop-by-hop headers, and those that `Connection` names.
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    // Empty for nearly every relay: allocates nothing then.
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    let hops: Vec<HeaderName> = headers.keys().filter(|name| is_hop_by_hop(name)).cloned().collect();
    for name in hops {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inner(headers: &[(&str, &[&str])]) -> BTreeMap<String, Header> {
        let header = |key: &str, values: &[&str]| Header {
            key: key.to_owned(),
            values: values.iter().map(|&value| value.to_owned()).collect(),
        };
        headers
            .iter()
            .map(|(key, values)| ((*key).to_owned(), header(key, values)))
            .collect()
    }

    fn outer(headers: &[(&'static str, &'static str)]) -> HeaderMap {
        headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    fn parties() -> Parties {
        Parties {
            supplier: HeaderValue::from_static("pokt1s"),
            service: HeaderValue::from_static("eth"),
            application: HeaderValue::from_static("pokt1a"),
        }
    }

    fn forwarded(
        configured: &[(&'static str, &'static str)],
        from: BTreeMap<String, Header>,
        to: &HeaderMap,
    ) -> HeaderMap {
        let configured = configured
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        BackendHeaders(configured.collect()).for_request(from, to, &parties())
    }

    #[test]
    fn inner_header_wins_over_the_outer_one_which_only_stands_in() {
        let to = outer(&[
            ("content-type", "application/x-protobuf"),
            ("user-agent", "path"),
            ("cookie", "no"),
        ]);
        let headers = forwarded(&[], inner(&[("Content-Type", &["application/json"])]), &to);
        assert_eq!(headers["content-type"], "application/json");
        assert_eq!(headers["user-agent"], "path");
        assert!(!headers.contains_key("cookie"));
    }

    #[test]
    fn several_values_of_one_header_are_kept() {
        let headers = forwarded(&[], inner(&[("X-Two", &["a", "b"])]), &HeaderMap::new());
        assert_eq!(headers.get_all("x-two").iter().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn hop_by_hop_headers_and_those_that_connection_names_are_removed() {
        let from = inner(&[
            ("Connection", &["close, X-Hop"]),
            ("X-Hop", &["1"]),
            ("Transfer-Encoding", &["chunked"]),
            ("Host", &["evil"]),
            ("Content-Length", &["999"]),
            ("X-Stays", &["1"]),
            ("bad name", &["x"]),
            ("X-Bad", &["a\r\nb: c"]),
        ]);
        let headers = forwarded(&[], from, &HeaderMap::new());
        let names: Vec<_> = headers
            .keys()
            .map(HeaderName::as_str)
            .filter(|name| !name.starts_with("pocket-"))
            .collect();
        assert_eq!(names, ["x-stays", "accept-encoding"]);
    }

    #[test]
    fn pocket_headers_of_the_relayer_cannot_be_forged() {
        let to = outer(&[("pocket-supplier", "forged"), ("pocket-trace", "t")]);
        let from = inner(&[("Pocket-Service", &["forged"]), ("Accept-Encoding", &["br"])]);
        let headers = forwarded(&[("x-key", "k")], from, &to);
        assert_eq!(headers["pocket-supplier"], "pokt1s");
        assert_eq!(headers["pocket-service"], "eth");
        assert_eq!(headers["pocket-application"], "pokt1a");
        assert_eq!(headers["pocket-trace"], "t");
        assert_eq!(headers["accept-encoding"], "identity");
        assert_eq!(headers["x-key"], "k");
    }
}
