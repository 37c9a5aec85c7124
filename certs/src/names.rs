//! The names of a cluster and of a node, and the DNS and URI forms they take in a certificate.

use crate::CertsError;

/// The private suffix under which every cluster lives (`.internal` is never in the public DNS).
const SUFFIX: &str = "myrmidon.internal";

/// The DNS subtree of a cluster: all that its authority may name.
pub(crate) fn cluster_dns(cluster: &str) -> String {
    format!("{cluster}.{SUFFIX}")
}

/// The DNS name that one node alone has; dialled for `node@host:port`.
pub(crate) fn node_dns(cluster: &str, node: &str) -> String {
    format!("{node}.node.{}", cluster_dns(cluster))
}

/// The DNS name that every node of a cluster has; dialled for a bare address.
pub(crate) fn any_dns(cluster: &str) -> String {
    format!("any.{}", cluster_dns(cluster))
}

/// The SPIFFE identity, for audit and for tools that read it.
pub(crate) fn node_uri(cluster: &str, node: &str) -> String {
    format!("spiffe://{cluster}/node/{node}")
}

/// Takes cluster and node out of a SPIFFE identity of ours.
pub(crate) fn parse_node_uri(uri: &str) -> Option<(&str, &str)> {
    let (cluster, node) = uri.strip_prefix("spiffe://")?.split_once("/node/")?;
    (is_label(cluster) && is_label(node)).then_some((cluster, node))
}

/// Fails unless `name` can be the name of a `what` ("cluster" or "node").
pub(crate) fn check(what: &'static str, name: &str) -> Result<(), CertsError> {
    if is_label(name) {
        return Ok(());
    }
    Err(CertsError::BadName { what, name: name.chars().take(80).collect() })
}

/// A DNS label in lower case. A hyphen at either end is out because DNS verification refuses it.
fn is_label(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&name.len())
        && name.bytes().all(plain)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dns_labels_in_lower_case() {
        for good in ["a", "node-1", "0", &"x".repeat(63)] {
            assert!(check("node", good).is_ok(), "{good}");
        }
        for bad in ["", "A", "a.b", "a_b", "-a", "a-", "é", "a\n", "*", &"x".repeat(64)] {
            let error = check("node", bad).unwrap_err().to_string();
            assert!(error.contains("node name") && error.contains("a-z"), "{error}");
        }
    }

    #[test]
    fn the_uri_gives_back_what_it_was_made_of() {
        assert_eq!(parse_node_uri(&node_uri("prod", "db-1")), Some(("prod", "db-1")));
        for bad in
            ["spiffe://prod/node/", "spiffe://prod/node/a/b", "https://prod/node/a", "spiffe:///node/a"]
        {
            assert_eq!(parse_node_uri(bad), None, "{bad}");
        }
    }
}
