//! Where a server listens.

use std::fmt;

use crate::codec::{Codec, scalar};
use crate::document::Node;
use crate::outline::{Scalar, Shape};
use crate::reader::Reader;

/// `host:port`; an empty host means all of IPv4, port 0 a free one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    /// A name or an IP address, IPv6 without brackets; `0.0.0.0` when none was written.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

impl ListenAddress {
    /// Port `port` of all IPv4 addresses.
    pub(crate) fn everywhere(port: u16) -> Self {
        Self {
            host: "0.0.0.0".to_owned(),
            port,
        }
    }

    /// Whether two servers cannot have these addresses at once, as far as that shows without asking the system.
    pub(crate) fn clashes(&self, other: &Self) -> bool {
        let wildcard = |host: &str| matches!(host, "0.0.0.0" | "::");
        self.port != 0
            && self.port == other.port
            && (self.host == other.host || wildcard(&self.host) || wildcard(&other.host))
    }

    fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let host = match host.strip_prefix('[') {
            Some(inner) => inner.strip_suffix(']').filter(|inner| inner.contains(':'))?,
            None if host.contains([':', '/', ' ', '@']) => return None,
            None if host.is_empty() => "0.0.0.0",
            None => host,
        };
        let port = port
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| port.parse().ok())??;
        Some(Self {
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for ListenAddress {
    /// As `bind` takes it: IPv6 in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A key that holds a [`ListenAddress`].
pub(crate) enum Address {}

impl Codec for Address {
    type Value = ListenAddress;
    const EXAMPLE: &str = "0.0.0.0:8080";
    fn read(node: &Node, reader: &mut Reader) -> Option<ListenAddress> {
        let text = scalar(node, reader, "an address", Self::EXAMPLE)?;
        ListenAddress::parse(text).or_else(|| {
            let remedy = "write host:port with a port of 0 to 65535, such as 0.0.0.0:8080, [::]:8080 or :8080";
            reader.impossible(node, format!("{text:?} is no address to listen on"), remedy)
        })
    }
    fn shape(_name: &str) -> Shape {
        Shape::Scalar(Scalar::Matching(":[0-9]{1,5}$"))
    }
    fn written(value: &ListenAddress) -> serde_json::Value {
        value.to_string().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Option<String> {
        ListenAddress::parse(text).map(|address| address.to_string())
    }

    #[test]
    fn address_is_host_and_port() {
        assert_eq!(shown(":9092").as_deref(), Some("0.0.0.0:9092"));
        assert_eq!(shown("localhost:6060").as_deref(), Some("localhost:6060"));
        assert_eq!(shown("[::1]:80").as_deref(), Some("[::1]:80"));
    }

    #[test]
    fn address_without_a_valid_port_is_refused() {
        for text in [
            "",
            "8080",
            "host",
            "host:",
            "host:65536",
            "host:+80",
            "http://host:80",
            "::1:80",
            "[host]:80",
        ] {
            assert_eq!(shown(text), None, "{text:?}");
        }
    }

    #[test]
    fn wildcard_clashes_with_every_host_of_its_port() {
        let all = ListenAddress::everywhere(80);
        let local = ListenAddress {
            host: "localhost".into(),
            port: 80,
        };
        assert!(all.clashes(&local) && local.clashes(&all));
        assert!(!ListenAddress::everywhere(0).clashes(&ListenAddress::everywhere(0)));
    }
}
