//! The address a request came from, through proxies that are trusted and no others (RFC 7239).

use actix_web::http::header::{FORWARDED, HeaderMap, HeaderName};
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address of the client: the peer, or behind trusted proxies the last hop that is not one of them.
///
/// A trusted proxy speaks one of the two headers and passes the other on as a client made it up. Where both are there and
/// disagree, neither counts.
pub(super) fn client(peer: Option<SocketAddr>, headers: &HeaderMap, trusted: &[IpNet]) -> Option<IpAddr> {
    let peer = peer?.ip().to_canonical();
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(&address));
    if !is_trusted(peer) {
        return Some(peer);
    }
    let walk = |hops: Vec<Option<IpAddr>>| {
        let mut nearest = peer;
        for hop in hops.into_iter().rev() {
            // Nobody can be named behind a hop that hides its name.
            let Some(address) = hop else { break };
            nearest = address;
            if !is_trusted(address) {
                break;
            }
        }
        nearest
    };
    let standard = walk(hops(headers, &FORWARDED, forwarded_for));
    let customary = walk(hops(headers, &X_FORWARDED_FOR, address));
    match (headers.contains_key(FORWARDED), headers.contains_key(X_FORWARDED_FOR)) {
        (true, false) => Some(standard),
        (false, true) => Some(customary),
        (true, true) if standard == customary => Some(standard),
        _ => Some(peer),
    }
}

fn hops(
    headers: &HeaderMap,
    name: &HeaderName,
    read: impl Fn(&str) -> Option<IpAddr>,
) -> Vec<Option<IpAddr>> {
    let values = headers.get_all(name);
    values
        .flat_map(|value| value.to_str().unwrap_or_default().split(','))
        .map(|hop| read(hop.trim()))
        .collect()
}

/// The `for` of one element of `Forwarded`. A comma inside quotes splits it, and what is left names nobody.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let (_, node) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
    address(node.trim().trim_matches('"'))
}

/// `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:4711`.
fn address(node: &str) -> Option<IpAddr> {
    let bracketed = || node.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok();
    let with_port = || node.parse::<SocketAddr>().ok().map(|address| address.ip());
    node.parse().ok().or_else(with_port).or_else(bracketed).map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    fn client_of(peer: &str, headers: &[(&'static str, &'static str)]) -> String {
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap());
        let map = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        client(Some(peer.parse().unwrap()), &map, &trusted).unwrap().to_string()
    }

    #[test]
    fn a_stranger_is_who_connects_whatever_it_says() {
        assert_eq!(client_of("192.0.2.1:1", &[("x-forwarded-for", "203.0.113.9")]), "192.0.2.1");
        assert_eq!(client_of("192.0.2.1:1", &[("forwarded", "for=203.0.113.9")]), "192.0.2.1");
        assert_eq!(client_of("[::ffff:192.0.2.1]:1", &[]), "192.0.2.1");
    }

    #[test]
    fn behind_proxies_the_last_untrusted_hop_counts() {
        let through = |value| client_of("10.0.0.1:1", &[("x-forwarded-for", value)]);
        assert_eq!(through("203.0.113.9"), "203.0.113.9");
        assert_eq!(through("1.1.1.1, 203.0.113.9, 10.0.0.2"), "203.0.113.9");
        assert_eq!(through("203.0.113.9:4711"), "203.0.113.9");
        assert_eq!(through("10.0.0.3, 10.0.0.2"), "10.0.0.3");
        assert_eq!(through("203.0.113.9, unknown, 10.0.0.2"), "10.0.0.2");
        assert_eq!(through(""), "10.0.0.1");
        let lines = [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "203.0.113.9")];
        assert_eq!(client_of("10.0.0.1:1", &lines), "203.0.113.9");
    }

    #[test]
    fn the_standard_header_is_read_with_its_quotes() {
        let through = |value| client_of("[fd00::1]:1", &[("forwarded", value)]);
        assert_eq!(through("for=1.1.1.1, For=\"[2001:db8::7]:4711\";proto=https"), "2001:db8::7");
        assert_eq!(through("proto=https;for=203.0.113.9"), "203.0.113.9");
        assert_eq!(through("for=203.0.113.9, for=_hidden"), "fd00::1");
    }

    #[test]
    fn two_headers_that_disagree_count_for_nothing() {
        let both = |standard| [("forwarded", standard), ("x-forwarded-for", "203.0.113.9")];
        assert_eq!(client_of("10.0.0.1:1", &both("for=1.1.1.1")), "10.0.0.1");
        assert_eq!(client_of("10.0.0.1:1", &both("for=203.0.113.9")), "203.0.113.9");
    }
}
