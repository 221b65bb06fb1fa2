//! What a Redis URL says.

use redis::{ConnectionInfo, ErrorKind, IntoConnectionInfo, RedisError, RedisResult, TlsMode};

/// Where Redis is, and of which kind.
#[derive(Clone, Debug)]
pub(crate) enum Address {
    /// One server.
    Single(ConnectionInfo),
    /// A primary and its replicas, found by asking sentinels.
    Sentinel {
        sentinels: Vec<ConnectionInfo>,
        /// The primary's name among the sentinels.
        name: String,
        /// User, password and database of the primary; its address is found.
        primary: ConnectionInfo,
    },
    /// The nodes of a cluster that are asked first.
    Cluster(Vec<ConnectionInfo>),
}

impl Address {
    /// Reads
    /// - `redis://[user:password@]host[:port][/database]`, `rediss://` for TLS,
    /// - `redis-sentinel://[user:password@]host:port,…/name[?db=N]`, `rediss-sentinel://`; for sentinels that want
    ///   to know who asks `sentinel_user=` and `sentinel_password=` besides,
    /// - `redis-cluster://[user:password@]host:port,…`, `rediss-cluster://`.
    ///
    /// Users and passwords are percent-encoded. The Go peer reads the same, without TLS and users for the latter two.
    pub fn parse(url: &str) -> RedisResult<Self> {
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        let (plain, kind) = match scheme {
            "redis-sentinel" | "redis-cluster" => ("redis", &scheme["redis-".len()..]),
            "rediss-sentinel" | "rediss-cluster" => ("rediss", &scheme["rediss-".len()..]),
            _ => return Ok(Self::Single(url.into_connection_info()?)),
        };
        let (credentials, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (servers, path) = rest.split_once('/').unwrap_or((rest, ""));
        let query = Query::parse(query)?;
        let each = |credentials: &str, database: &str| -> RedisResult<Vec<ConnectionInfo>> {
            let at = if credentials.is_empty() { "" } else { "@" };
            let urls = servers
                .split(',')
                .map(|server| format!("{plain}://{credentials}{at}{server}/{database}"));
            urls.map(IntoConnectionInfo::into_connection_info).collect()
        };
        if kind == "cluster" {
            if !path.is_empty() || !matches!(query.database, "" | "0") {
                return Err(invalid("a Redis Cluster has one database only"));
            }
            return Ok(Self::Cluster(each(credentials, "")?));
        }
        if path.is_empty() {
            return Err(invalid(
                "name the primary as its sentinels do: redis-sentinel://host:port/name",
            ));
        }
        let asking = match (query.sentinel_user, query.sentinel_password) {
            ("", "") => String::new(),
            (user, password) => format!("{user}:{password}"),
        };
        let primary = each(credentials, query.database)?;
        Ok(Self::Sentinel {
            sentinels: each(&asking, "")?,
            name: path.to_owned(),
            primary: primary.into_iter().next().expect("a split text has a first part"),
        })
    }

    /// Whether keys are spread over several servers.
    pub fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }

    /// The numbered database that keys lie in.
    pub fn database(&self) -> i64 {
        match self {
            Self::Single(server) | Self::Sentinel { primary: server, .. } => server.redis_settings().db(),
            Self::Cluster(_) => 0,
        }
    }

    /// Whether a replica may take a primary's place.
    pub fn fails_over(&self) -> bool {
        !matches!(self, Self::Single(_))
    }
}

/// How servers of one kind with this one are spoken to.
pub(crate) fn tls_mode(info: &ConnectionInfo) -> Option<TlsMode> {
    matches!(info.addr(), redis::ConnectionAddr::TcpTls { .. }).then_some(TlsMode::Secure)
}

#[derive(Default)]
struct Query<'a> {
    database: &'a str,
    sentinel_user: &'a str,
    sentinel_password: &'a str,
}

impl<'a> Query<'a> {
    fn parse(text: &'a str) -> RedisResult<Self> {
        let mut query = Self::default();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "db" => query.database = value,
                "sentinel_user" => query.sentinel_user = value,
                "sentinel_password" => query.sentinel_password = value,
                _ => {
                    return Err(invalid(
                        "after ? only db, sentinel_user and sentinel_password are known",
                    ));
                }
            }
        }
        Ok(query)
    }
}

fn invalid(what: &'static str) -> RedisError {
    (ErrorKind::InvalidClientConfig, what).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(info: &ConnectionInfo) -> (String, Option<&str>, Option<&str>, i64) {
        let redis = info.redis_settings();
        (info.addr().to_string(), redis.username(), redis.password(), redis.db())
    }

    #[test]
    fn single_server_has_user_password_and_database() {
        let Address::Single(info) = Address::parse("redis://me:p%40ss@a:1/3").unwrap() else {
            panic!("one server");
        };
        assert_eq!(told(&info), ("a:1".to_owned(), Some("me"), Some("p@ss"), 3));
        assert_eq!(tls_mode(&info), None);
    }

    #[test]
    fn sentinels_are_asked_for_a_primary_with_its_own_password() {
        let url = "redis-sentinel://:secret@a:1,b:2/mymaster?db=4&sentinel_user=s&sentinel_password=t";
        let Address::Sentinel {
            sentinels,
            name,
            primary,
        } = Address::parse(url).unwrap()
        else {
            panic!("sentinels");
        };
        assert_eq!(name, "mymaster");
        assert_eq!(told(&sentinels[1]), ("b:2".to_owned(), Some("s"), Some("t"), 0));
        let (_, user, password, database) = told(&primary);
        assert_eq!((user, password, database), (None, Some("secret"), 4));
    }

    #[test]
    fn every_node_of_a_cluster_is_spoken_to_alike() {
        let Address::Cluster(nodes) = Address::parse("rediss-cluster://me:secret@a:1,b:2").unwrap() else {
            panic!("a cluster");
        };
        assert_eq!(told(&nodes[0]).0, "a:1");
        assert_eq!(told(&nodes[1]), ("b:2".to_owned(), Some("me"), Some("secret"), 0));
        assert_eq!(tls_mode(&nodes[1]), Some(TlsMode::Secure));
    }

    #[test]
    fn what_cannot_work_is_refused() {
        for url in [
            "redis-sentinel://a:1",
            "redis-cluster://a:1?db=2",
            "redis-cluster://a:1?tls=yes",
            "redis-cluster://",
            "nonsense",
        ] {
            assert!(Address::parse(url).is_err(), "{url}");
        }
    }
}
