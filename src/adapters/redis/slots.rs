//! Which node of a cluster serves which slot, by the Redis Cluster specification ("Key distribution model").

use super::fault;
use super::url::Address;
use crate::ports::store::StoreError;
use redis::Value;

/// Slots of every cluster.
pub(super) const SLOTS: u16 = 16384;

/// CRC-16/XMODEM: polynomial 0x1021, nothing reflected, starting at 0.
const POLYNOMIAL: u16 = 0x1021;

/// The slot of a partition: the part of a key that a cluster hashes.
pub(super) fn slot(partition: &str) -> u16 {
    let sum = partition.bytes().fold(0_u16, |sum, byte| {
        (0..8).fold(sum ^ (u16::from(byte) << 8), |sum, _| {
            if sum & 0x8000 == 0 { sum << 1 } else { (sum << 1) ^ POLYNOMIAL }
        })
    });
    sum % SLOTS
}

/// A range of slots and the node that writes to them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Range {
    first: u16,
    last: u16,
    node: Address,
}

/// The ranges, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SlotMap(Vec<Range>);

impl SlotMap {
    /// The answer to CLUSTER SLOTS. `asked` is whom it was: a node that does not know its own address leaves it out.
    pub(super) fn read(answer: Value, asked: &Address) -> Result<Self, StoreError> {
        let shape = || fault::shape("CLUSTER SLOTS");
        let Value::Array(ranges) = fault::value(answer)? else { return Err(shape()) };
        let mut map = ranges
            .into_iter()
            .map(|range| read_range(range, asked).ok_or_else(shape))
            .collect::<Result<Vec<_>, _>>()?;
        map.sort_by_key(|range| range.first);
        Ok(Self(map))
    }

    /// The node that serves a slot; none where the cluster has given it to nobody.
    pub(super) fn node(&self, slot: u16) -> Option<&Address> {
        let next = self.0.partition_point(|range| range.first <= slot);
        let range = self.0.get(next.checked_sub(1)?)?;
        (slot <= range.last).then_some(&range.node)
    }

    /// The same map with one slot given to another node, as its old one just said.
    pub(super) fn with_moved(&self, slot: u16, node: &Address) -> Self {
        let mut ranges = Vec::with_capacity(self.0.len() + 2);
        for range in &self.0 {
            if !(range.first..=range.last).contains(&slot) {
                ranges.push(range.clone());
                continue;
            }
            if range.first < slot {
                ranges.push(Range { last: slot - 1, ..range.clone() });
            }
            if slot < range.last {
                ranges.push(Range { first: slot + 1, ..range.clone() });
            }
        }
        ranges.push(Range { first: slot, last: slot, node: node.clone() });
        ranges.sort_by_key(|range| range.first);
        Self(ranges)
    }

    /// Every node that serves slots, once.
    pub(super) fn nodes(&self) -> Vec<Address> {
        let mut nodes: Vec<_> = self.0.iter().map(|range| range.node.clone()).collect();
        nodes.sort();
        nodes.dedup();
        nodes
    }

    /// How many slots are served by somebody.
    pub(super) fn covered(&self) -> usize {
        self.0.iter().map(|range| usize::from(range.last - range.first) + 1).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// First slot, last slot, the master, and its replicas, which are not asked.
fn read_range(range: Value, asked: &Address) -> Option<Range> {
    let Value::Array(parts) = range else { return None };
    let mut parts = parts.into_iter();
    let (Value::Int(first), Value::Int(last), Value::Array(node)) =
        (parts.next()?, parts.next()?, parts.next()?)
    else {
        return None;
    };
    let (first, last) = (u16::try_from(first).ok()?, u16::try_from(last).ok()?);
    let mut node = node.into_iter();
    let host = match node.next()? {
        Value::BulkString(host) => String::from_utf8(host).ok()?,
        // It does not know its own address, so it is where it was asked.
        _ => String::new(),
    };
    let host = if host.is_empty() { asked.host.clone() } else { host };
    let Value::Int(port) = node.next()? else { return None };
    let good = first <= last && last < SLOTS && host != "?";
    good.then_some(Range { first, last, node: Address { host, port: u16::try_from(port).ok()? } })
}

/// The node that a redirection names: `3999 127.0.0.1:6381`, where a missing host is that of the node that said it.
pub(super) fn redirection(detail: &str, asked: &Address) -> Option<Address> {
    let (host, port) = detail.split_ascii_whitespace().nth(1)?.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let host = if host.is_empty() { asked.host.as_str() } else { host };
    Some(Address { host: host.to_owned(), port: port.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> Address {
        Address { host: "10.0.0.1".to_owned(), port }
    }

    /// The specification's own check value, and what CLUSTER KEYSLOT says of others.
    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(slot("123456789"), 0x31c3);
        assert_eq!((slot("foo"), slot("bar"), slot("")), (12182, 5061, 0));
    }

    #[test]
    fn a_map_is_read_changed_and_asked() {
        let node = |port| Value::Array(vec![Value::BulkString(b"10.0.0.1".to_vec()), Value::Int(port)]);
        let range = |first, last, node| Value::Array(vec![Value::Int(first), Value::Int(last), node]);
        let answer = Value::Array(vec![range(100, 200, node(2)), range(0, 99, node(1))]);
        let map = SlotMap::read(answer, &at(9)).unwrap();
        assert_eq!(map.covered(), 201);
        assert_eq!(map.nodes(), [at(1), at(2)]);
        for (slot, port) in [(0, Some(1)), (99, Some(1)), (100, Some(2)), (200, Some(2)), (201, None)] {
            assert_eq!(map.node(slot).map(|node| node.port), port, "{slot}");
        }
        let moved = map.with_moved(150, &at(3)).with_moved(0, &at(3)).with_moved(300, &at(3));
        for (slot, port) in [(0, 3), (1, 1), (149, 2), (150, 3), (151, 2), (300, 3)] {
            assert_eq!(moved.node(slot), Some(&at(port)), "{slot}");
        }
        assert_eq!(moved.covered(), 202);
        let nameless = Value::Array(vec![range(0, 1, Value::Array(vec![Value::Nil, Value::Int(7)]))]);
        assert_eq!(SlotMap::read(nameless, &at(9)).unwrap().node(1), Some(&at(7)));
        for wrong in [
            Value::Nil,
            Value::Array(vec![range(5, 4, node(1))]),
            Value::Array(vec![range(0, 16384, node(1))]),
        ] {
            assert!(SlotMap::read(wrong, &at(9)).is_err());
        }
    }

    #[test]
    fn redirections() {
        assert_eq!(redirection("3999 127.0.0.1:6381", &at(1)).unwrap().to_string(), "127.0.0.1:6381");
        assert_eq!(redirection("3999 ::1:6381", &at(1)).unwrap().to_string(), "[::1]:6381");
        assert_eq!(redirection("3999 :6381", &at(1)), Some(at(6381)));
        assert_eq!(redirection("3999", &at(1)), None);
    }
}
