//! What the router reads in an IPv4 packet: where it goes, and whether it begins a connection.

use std::net::Ipv4Addr;

const TCP: u8 = 6;
const UDP: u8 = 17;
const QUIC_V1: [u8; 4] = [0, 0, 0, 1];

/// The first packet of a connection, and later ones that look like it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Opening<'a> {
    /// The same in every such packet of one connection from one side: the TCP port and sequence
    /// number, or the QUIC connection id that the sender has chosen for itself.
    pub(super) own: &'a [u8],
    /// The QUIC connection id that it addresses: the peer's own, once the peer has answered.
    pub(super) addressed: &'a [u8],
}

/// Where a packet wants to go; `None` for anything that is not IPv4.
pub(super) fn destination(packet: &[u8]) -> Option<Ipv4Addr> {
    let is_v4 = packet.len() >= 20 && packet[0] >> 4 == 4;
    is_v4.then(|| Ipv4Addr::new(packet[16], packet[17], packet[18], packet[19]))
}

/// Whether the packet opens a connection: a TCP SYN, or a QUIC Initial.
pub(super) fn opening(packet: &[u8]) -> Option<Opening<'_>> {
    let header = usize::from(packet.first()? & 15) * 4;
    let payload = packet.get(header..)?;
    match *packet.get(9)? {
        TCP => syn(payload),
        UDP => initial(payload.get(8..)?),
        _ => None,
    }
}

fn syn(segment: &[u8]) -> Option<Opening<'_>> {
    const SYN: u8 = 2;
    const ACK: u8 = 16;
    let flags = segment.get(13)?;
    // The source port stands before the destination's, the sequence number behind it.
    (flags & (SYN | ACK) == SYN).then(|| Opening { own: &segment[..8], addressed: &[] })
}

/// RFC 9000, 17.2: flags, version, then both connection ids with a byte of length before each.
fn initial(datagram: &[u8]) -> Option<Opening<'_>> {
    let is_initial = *datagram.first()? & 0xf0 == 0xc0 && datagram.get(1..5)? == QUIC_V1;
    if !is_initial {
        return None;
    }
    let (addressed, rest) = connection_id(&datagram[5..])?;
    let (own, _) = connection_id(rest)?;
    Some(Opening { own, addressed })
}

fn connection_id(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(*len))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(protocol: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; 20];
        packet[0] = 0x45;
        packet[9] = protocol;
        packet[16..20].copy_from_slice(&[10, 99, 0, 2]);
        packet.extend_from_slice(payload);
        packet
    }

    #[test]
    fn the_destination_is_read_from_ipv4_only() {
        assert_eq!(destination(&ip(TCP, &[])), Some(Ipv4Addr::new(10, 99, 0, 2)));
        assert_eq!(destination(&[0x60; 40]), None);
        assert_eq!(destination(&[0x45; 19]), None);
    }

    #[test]
    fn a_syn_opens_a_connection_and_its_answer_does_not() {
        let segment = |flags| {
            ip(TCP, &[[1, 2, 0, 80, 9, 9, 9, 9, 0, 0, 0, 0, 0x50, flags].as_slice(), &[0; 6]].concat())
        };
        let own: &[u8] = &[1, 2, 0, 80, 9, 9, 9, 9];
        assert_eq!(opening(&segment(2)), Some(Opening { own, addressed: &[] }));
        assert_eq!(opening(&segment(2 | 16)), None);
        assert_eq!(opening(&segment(16)), None);
        assert_eq!(opening(&ip(TCP, &[1, 2])), None);
    }

    #[test]
    fn a_quic_initial_opens_a_connection_and_a_short_header_does_not() {
        let datagram = [&[0; 8][..], &[0xc3, 0, 0, 0, 1, 2, 7, 8, 3, 4, 5, 6, 0]].concat();
        let packet = ip(UDP, &datagram);
        assert_eq!(opening(&packet), Some(Opening { own: &[4, 5, 6], addressed: &[7, 8] }));
        assert_eq!(opening(&ip(UDP, &[&[0; 8][..], &[0x43, 1, 2, 3, 4, 5, 6]].concat())), None);
        assert_eq!(opening(&packet[..34]), None);
        assert_eq!(opening(&[]), None);
    }
}
