//! Where a relay goes: the backend's URL joined with the path and query of the inner request.
//!
//! Rule: spec `relay.md` §5.6, with its deviations: what the client sent passes through byte for byte, only empty and
//! dot segments of the path are resolved, so that a relay cannot climb out of the configured base path.

use bytes::Bytes;
use http::Uri;
use http::uri::{Authority, InvalidUri, PathAndQuery, Scheme};

/// The fixed part of a backend's address.
#[derive(Clone, Debug)]
pub struct Target {
    scheme: Scheme,
    authority: Authority,
    /// Path and query as configured.
    own: PathAndQuery,
    /// Path before every relay's own; no slash at its end, empty for none.
    prefix: String,
    /// Query that every relay gets after its own.
    query: Option<String>,
}

/// Why a text is no backend's address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Not a URL.
    #[error("`{0}` is not a URL")]
    Malformed(String),
    /// A scheme that no relay can be forwarded by.
    #[error("`{0}` needs the scheme http or https")]
    Scheme(String),
}

/// The inner request's URL has bytes that no URL has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unusable;

impl Target {
    /// Reads `url` (`host:port` counts as `http://host:port`); `base_path`, when not empty, stands for the URL's path.
    pub fn parse(url: &str, base_path: Option<&str>) -> Result<Self, TargetError> {
        let malformed = || TargetError::Malformed(url.to_owned());
        let with_scheme = if url.contains("://") {
            url.to_owned()
        } else {
            format!("http://{url}")
        };
        let uri: Uri = with_scheme.parse().map_err(|_: InvalidUri| malformed())?;
        let parts = uri.into_parts();
        let scheme = parts.scheme.ok_or_else(malformed)?;
        if scheme != Scheme::HTTP && scheme != Scheme::HTTPS {
            return Err(TargetError::Scheme(url.to_owned()));
        }
        let authority = parts.authority.ok_or_else(malformed)?;
        let own = parts.path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/"));
        let base = base_path.map_or("", |path| path.trim_end_matches('/'));
        let prefix = if base.is_empty() {
            own.path().trim_end_matches('/')
        } else {
            base
        };
        let prefix = if prefix.is_empty() || prefix.starts_with('/') {
            prefix.to_owned()
        } else {
            format!("/{prefix}")
        };
        Ok(Self {
            scheme,
            authority,
            prefix,
            query: own.query().filter(|query| !query.is_empty()).map(str::to_owned),
            own,
        })
    }

    /// The whole URL for an inner request to `url`, whose scheme, host and fragment say nothing.
    pub fn join(&self, url: &str) -> Result<Uri, Unusable> {
        let (path, query) = path_and_query(url);
        // One buffer a relay: the path and query as they go on the wire.
        let mut out =
            String::with_capacity(self.prefix.len() + url.len() + 8 + self.query.as_ref().map_or(0, String::len));
        let client = if path == "/" { "" } else { path };
        if !has_prefix(client, &self.prefix) {
            out.push_str(&self.prefix);
        }
        if !client.is_empty() && !client.starts_with('/') {
            out.push('/');
        }
        push_url_text(&mut out, client)?;
        if needs_cleaning(&out) {
            out = clean(&out);
            if !has_prefix(&out, &self.prefix) {
                out.insert_str(0, &self.prefix);
            }
        }
        if out.is_empty() {
            out.push('/');
        }
        let configured = self.query.as_deref();
        for (index, part) in [query, configured].into_iter().flatten().enumerate() {
            out.push(if index == 0 { '?' } else { '&' });
            push_url_text(&mut out, part)?;
        }
        let path_and_query = PathAndQuery::from_maybe_shared(Bytes::from(out)).map_err(|_| Unusable)?;
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(path_and_query);
        Uri::from_parts(parts).map_err(|_| Unusable)
    }

    /// The configured address, to which `WebSocket`s are opened as it is.
    pub fn address(&self) -> Uri {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(self.own.clone());
        Uri::from_parts(parts).expect("its parts are those of a URL")
    }

    /// Whether connections to it are encrypted.
    pub fn is_https(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// The address without path and query, for logs.
    pub fn origin(&self) -> String {
        format!("{}://{}", self.scheme, self.authority)
    }
}

/// Path (possibly empty or relative) and raw query of a URL or reference.
fn path_and_query(url: &str) -> (&str, Option<&str>) {
    let url = url.split_once('#').map_or(url, |(before, _)| before);
    let (before, query) = match url.split_once('?') {
        Some((before, query)) => (before, Some(query).filter(|query| !query.is_empty())),
        None => (url, None),
    };
    let rest = match before.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => rest,
        _ => before,
    };
    let path = match rest.strip_prefix("//") {
        Some(after) => after.find('/').map_or("", |slash| &after[slash..]),
        // A scheme without an authority has no path that a backend could serve.
        None if rest.len() != before.len() && !rest.starts_with('/') => "",
        None => rest,
    };
    (path, query)
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

/// Whether `path` is `prefix` or below it, so that the prefix is not doubled.
fn has_prefix(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Appends text that is already in a URL's form; escapes only what could not stand in a request line.
fn push_url_text(out: &mut String, text: &str) -> Result<(), Unusable> {
    if text
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`'))
    {
        out.push_str(text);
        return Ok(());
    }
    for byte in text.bytes() {
        match byte {
            0..=0x1f | 0x7f => return Err(Unusable),
            b' ' | b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | 0x80..=0xff => {
                const HEX: &[u8; 16] = b"0123456789ABCDEF";
                out.push('%');
                out.push(HEX[usize::from(byte >> 4)].into());
                out.push(HEX[usize::from(byte & 15)].into());
            }
            other => out.push(other.into()),
        }
    }
    Ok(())
}

/// One dot, two dots, also percent-encoded: backends decode before they resolve.
fn dots(segment: &str) -> usize {
    let mut rest = segment;
    let mut count = 0;
    while !rest.is_empty() {
        let stripped = rest
            .strip_prefix('.')
            .or_else(|| rest.strip_prefix("%2e"))
            .or_else(|| rest.strip_prefix("%2E"));
        match stripped {
            Some(after) if count < 2 => (rest, count) = (after, count + 1),
            _ => return 0,
        }
    }
    count
}

fn needs_cleaning(path: &str) -> bool {
    path.contains("//") || path.split('/').any(|segment| dots(segment) > 0)
}

/// Resolves dot segments and drops empty ones; a slash at the end stays.
fn clean(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut open_end = false;
    for segment in path.split('/') {
        open_end = segment.is_empty() || dots(segment) > 0;
        match dots(segment) {
            0 if !segment.is_empty() => kept.push(segment),
            2 => drop(kept.pop()),
            _ => {}
        }
    }
    let mut out = String::with_capacity(path.len());
    for segment in kept {
        out.push('/');
        out.push_str(segment);
    }
    if open_end {
        out.push('/');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn joined(base: &str, base_path: Option<&str>, url: &str) -> String {
        Target::parse(base, base_path).unwrap().join(url).unwrap().to_string()
    }

    fn path(base_path: &str, url: &str) -> String {
        joined("http://b:1", Some(base_path), url)
            .strip_prefix("http://b:1")
            .unwrap()
            .to_owned()
    }

    #[test]
    fn base_path_is_put_before_and_never_doubled() {
        let base = "/ext/bc/C/rpc";
        assert_eq!(path(base, ""), "/ext/bc/C/rpc");
        assert_eq!(path(base, "/"), "/ext/bc/C/rpc");
        assert_eq!(path(base, "/v1/users"), "/ext/bc/C/rpc/v1/users");
        assert_eq!(path(base, "/ext/bc/C/rpc/v1"), "/ext/bc/C/rpc/v1");
        assert_eq!(path("/ext", "/extra/foo"), "/ext/extra/foo");
        assert_eq!(path("", "//"), "/");
        assert_eq!(joined("http://b:1/rpc/", None, "/x"), "http://b:1/rpc/x");
        assert_eq!(joined("b:1", None, "v1/users"), "http://b:1/v1/users");
    }

    #[test]
    fn host_scheme_and_fragment_of_the_client_are_dropped() {
        assert_eq!(path("", "https://staked.example/v1/x?a=1#top"), "/v1/x?a=1");
        assert_eq!(path("", "//host/x"), "/x");
        assert_eq!(path("", "https://staked.example"), "/");
        assert_eq!(path("", "/cosmos/a:b"), "/cosmos/a:b");
        assert_eq!(path("", "mailto:x"), "/");
    }

    #[test]
    fn raw_path_and_query_pass_byte_for_byte() {
        assert_eq!(
            path("", "/denoms/ibc%2FABC%20x/?b=2&a=1&flag&c=1;2&d=a+b%20c"),
            "/denoms/ibc%2FABC%20x/?b=2&a=1&flag&c=1;2&d=a+b%20c"
        );
        assert_eq!(joined("http://b:1/?key=k", None, "/x?a=1"), "http://b:1/x?a=1&key=k");
        assert_eq!(joined("http://b:1/?key=k", None, "/x"), "http://b:1/x?key=k");
    }

    #[test]
    fn dot_segments_do_not_leave_the_base_path() {
        assert_eq!(path("/safe", "/../admin"), "/safe/admin");
        assert_eq!(path("/safe", "/safe/../admin"), "/safe/admin");
        assert_eq!(path("/safe", "/%2e%2E/admin"), "/safe/admin");
        assert_eq!(path("", "/a/./b//c/.."), "/a/b/");
        assert_eq!(path("", "/.../..a"), "/.../..a");
    }

    #[test]
    fn text_outside_a_url_is_escaped_and_controls_are_refused() {
        assert_eq!(path("", "/a b/ü"), "/a%20b/%C3%BC");
        assert_eq!(Target::parse("b:1", None).unwrap().join("/a\r\nX: y"), Err(Unusable));
    }

    #[test]
    fn other_schemes_are_refused() {
        assert_eq!(
            Target::parse("ws://b", None).unwrap_err(),
            TargetError::Scheme("ws://b".into())
        );
        assert!(matches!(Target::parse("http://", None), Err(TargetError::Malformed(_))));
    }

    proptest! {
        #[test]
        fn whatever_the_client_sends_stays_on_the_host_and_below_the_base(url in "[/.%2eE?#:a-z@\\\\ ]{0,40}") {
            if let Ok(uri) = Target::parse("http://b:1/base", None).unwrap().join(&url) {
                prop_assert_eq!(uri.authority().unwrap().as_str(), "b:1");
                prop_assert!(has_prefix(uri.path(), "/base"), "{}", uri);
                prop_assert!(!needs_cleaning(uri.path()), "{}", uri);
            }
        }
    }
}
