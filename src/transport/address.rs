//! Where a node is reached.

use std::fmt;
use std::str::FromStr;

/// `host:port`, or `node@host:port` where the peer must prove to be `node`.
///
/// The host is a name or an IP address; IPv6 in brackets (`[::1]:9000`).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeAddr {
    node: Option<String>,
    host: String,
    port: u16,
}

/// A text that is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an address: {reason}; write host:port, for example \"127.0.0.1:9000\"")]
pub struct AddrParseError {
    text: String,
    reason: &'static str,
}

impl NodeAddr {
    /// An address from its parts.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { node: None, host: host.into(), port }
    }

    /// The node that must answer there, if one was named.
    pub fn node(&self) -> Option<&str> {
        self.node.as_deref()
    }

    /// The host, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; 0 asks the system for one when binding.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The same host with another port.
    #[must_use]
    pub fn with_port(&self, port: u16) -> Self {
        Self { port, ..self.clone() }
    }

    /// Whether the host stands for all addresses of a machine, and so is none that others can dial.
    pub fn is_wildcard(&self) -> bool {
        self.host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_unspecified())
    }

    /// Whether the host is this machine's loopback: `localhost` or a loopback IP.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

impl FromStr for NodeAddr {
    type Err = AddrParseError;

    fn from_str(text: &str) -> Result<Self, AddrParseError> {
        let err = |reason| AddrParseError { text: text.chars().take(120).collect(), reason };
        let (node, rest) = match text.split_once('@') {
            Some((node, rest)) => (Some(node), rest),
            None => (None, text),
        };
        if node.is_some_and(str::is_empty) {
            return Err(err("the node name before '@' is empty"));
        }
        let (host, port) = rest.rsplit_once(':').ok_or_else(|| err("the port is missing"))?;
        let port = port.parse().map_err(|_| err("the port is not a number from 0 to 65535"))?;
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        let host = match bare {
            Some(v6) => v6,
            None if host.contains(':') => return Err(err("an IPv6 host needs brackets")),
            None => host,
        };
        if host.contains(['[', ']']) {
            return Err(err("brackets belong around an IPv6 host and nowhere else"));
        }
        if host.is_empty() || host.contains(char::is_whitespace) {
            return Err(err("the host is empty or has spaces"));
        }
        Ok(Self { node: node.map(str::to_owned), host: host.to_owned(), port })
    }
}

impl From<std::net::SocketAddr> for NodeAddr {
    fn from(addr: std::net::SocketAddr) -> Self {
        Self::new(addr.ip().to_string(), addr.port())
    }
}

impl fmt::Display for NodeAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(node) = &self.node {
            write!(f, "{node}@")?;
        }
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for NodeAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeAddr({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_print_as_they_are_written() {
        for text in ["127.0.0.1:9000", "localhost:0", "[::1]:80", "db@10.0.0.1:7"] {
            assert_eq!(text.parse::<NodeAddr>().unwrap().to_string(), text);
        }
        assert_eq!("db@h:7".parse::<NodeAddr>().unwrap().node(), Some("db"));
    }

    #[test]
    fn a_bad_address_says_what_is_wrong() {
        for text in ["", "host", "host:", "host:70000", "::1:80", ":80", "@h:1", "a b:1"] {
            let error = text.parse::<NodeAddr>().unwrap_err().to_string();
            assert!(error.contains("host:port"), "{error}");
        }
    }

    #[test]
    fn loopback_is_known() {
        assert!(NodeAddr::new("127.3.2.1", 1).is_loopback());
        assert!(NodeAddr::new("::1", 1).is_loopback());
        assert!(!NodeAddr::new("10.0.0.1", 1).is_loopback());
    }
}
