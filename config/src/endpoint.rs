//! URLs of what is spoken to: the chain's node, Redis, backends. Errors never show one: it may hold a password.

use std::fmt;

use url::Url;

use crate::codec::{Codec, scalar};
use crate::document::Node;
use crate::outline::{Scalar, Shape};
use crate::reader::Reader;

/// An `http` or `https` URL.
pub(crate) enum HttpUrl {}

impl Codec for HttpUrl {
    type Value = Url;
    const EXAMPLE: &str = "http://localhost:26657";
    fn read(node: &Node, reader: &mut Reader) -> Option<Url> {
        let text = scalar(node, reader, "a URL", Self::EXAMPLE)?;
        match parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => Some(url),
            Ok(url) => {
                let what = format!("the scheme {:?} is not HTTP's", url.scheme());
                reader.impossible(node, what, "write a URL that starts with http:// or https://")
            }
            Err(what) => reader.impossible(node, what, format!("write a URL such as {}", Self::EXAMPLE)),
        }
    }
    fn shape(_name: &str) -> Shape {
        Shape::Scalar(Scalar::Matching("^https?://"))
    }
}

/// A URL with a host, or what is wrong with it.
pub(crate) fn parse(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("is no URL: {error}"))?;
    if url.host_str().is_none_or(str::is_empty) {
        return Err("is no URL: it names no host".to_owned());
    }
    Ok(url)
}

/// `host:port` of a gRPC server; a leading `http://`, `https://`, `grpc://`, `grpcs://` or `tcp://` is dropped, since
/// `grpc_insecure` decides on TLS.
pub(crate) enum GrpcTarget {}

impl Codec for GrpcTarget {
    type Value = String;
    const EXAMPLE: &str = "localhost:9090";
    fn read(node: &Node, reader: &mut Reader) -> Option<String> {
        let text = scalar(node, reader, "host:port", Self::EXAMPLE)?;
        let remedy = "write host:port, such as localhost:9090 or grpc.example.org:443";
        let (scheme, target) = text.split_once("://").unwrap_or(("tcp", text));
        if !matches!(scheme, "http" | "https" | "grpc" | "grpcs" | "tcp") {
            return reader.impossible(node, format!("the scheme {scheme:?} is not gRPC's"), remedy);
        }
        let target = target.trim_end_matches('/');
        let has_port = target.rsplit_once(':').is_some_and(|(_, port)| {
            port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
        });
        let plain = !target.contains(['/', '@', ' ']);
        match Url::parse(&format!("http://{target}")) {
            Ok(url) if url.host_str().is_some() && has_port && plain => Some(target.to_owned()),
            _ => reader.impossible(node, "is not host:port", remedy),
        }
    }
    fn shape(_name: &str) -> Shape {
        Shape::Scalar(Scalar::Matching(":[0-9]{1,5}/*$"))
    }
}

/// The URL of one Redis server, or of several for a cluster or sentinels; may hold a password, which `Debug` and
/// `Display` leave out.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl(String);

impl RedisUrl {
    /// The server of this machine, on the usual port.
    pub(crate) fn local() -> Self {
        Self(Self::EXAMPLE.to_owned())
    }

    /// The URL with its password, for the one place that connects.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// `redis`, `redis-sentinel` or `redis-cluster`, or these with `rediss` for TLS.
    pub fn scheme(&self) -> &str {
        self.0.split("://").next().unwrap_or_default()
    }

    /// The servers, `host:port` each as written.
    pub fn servers(&self) -> Vec<&str> {
        Self::authority(&self.0).1.split(',').collect()
    }

    /// What stands before the last `@`, and the servers.
    fn authority(text: &str) -> (Option<&str>, &str) {
        let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
        let (credentials, rest) = match rest.rsplit_once('@') {
            Some((credentials, rest)) => (Some(credentials), rest),
            None => (None, rest),
        };
        (credentials, rest.split(['/', '?', '#']).next().unwrap_or_default())
    }

    fn parse(text: &str) -> Result<Self, String> {
        let Some((scheme, _)) = text.split_once("://") else {
            return Err("has no scheme".to_owned());
        };
        let known = [
            "redis",
            "rediss",
            "redis-sentinel",
            "redis-cluster",
            "rediss-sentinel",
            "rediss-cluster",
        ];
        if !known.contains(&scheme) {
            return Err(format!("the scheme {scheme:?} is not Redis's"));
        }
        for server in Self::authority(text).1.split(',') {
            let url = Url::parse(&format!("http://{server}")).map_err(|error| format!("is no URL: {error}"))?;
            if url.host_str().is_none_or(str::is_empty) {
                return Err("is no URL: it names no host".to_owned());
            }
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::authority(&self.0) {
            (Some(_), servers) => write!(f, "{}://***@{servers}", self.scheme()),
            (None, servers) => write!(f, "{}://{servers}", self.scheme()),
        }
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Codec for RedisUrl {
    type Value = Self;
    const EXAMPLE: &str = "redis://localhost:6379";
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let text = scalar(node, reader, "a URL", Self::EXAMPLE)?;
        Self::parse(text).map_or_else(
            |what| {
                let remedy =
                    "write redis://host:port, or with redis-sentinel or redis-cluster as its scheme, each with rediss for TLS";
                reader.impossible(node, what, remedy)
            },
            Some,
        )
    }
    fn shape(_name: &str) -> Shape {
        Shape::Scalar(Scalar::Matching("^rediss?(-sentinel|-cluster)?://"))
    }
    fn written(value: &Self) -> serde_json::Value {
        value.to_string().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redis_url_is_shown_without_its_password() {
        let url = RedisUrl::parse("rediss://user:hunter2@a:6379,b:6380/0?x=1").unwrap();
        assert_eq!(format!("{url:?}"), "rediss://***@a:6379,b:6380");
        assert_eq!(url.servers(), ["a:6379", "b:6380"]);
        assert_eq!(url.expose(), "rediss://user:hunter2@a:6379,b:6380/0?x=1");
    }

    #[test]
    fn redis_url_needs_a_scheme_and_hosts() {
        for text in [
            "localhost:6379",
            "http://localhost",
            "redis://",
            "redis://a:6379,",
            "redis://a:70000",
        ] {
            assert!(RedisUrl::parse(text).is_err(), "{text}");
        }
    }
}
