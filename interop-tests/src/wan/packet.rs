//! What the router reads in an IPv4 packet: where it goes, and whether it begins a connection; and what
//! it changes there.

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

/// Which of the two ports.
#[derive(Clone, Copy, Debug)]
pub(super) enum Port {
    Source,
    Destination,
}

/// Flips the bits of `mask` in a port, as a translator of addresses does that has a new table; twice is
/// as before. Packets without ports stay as they are.
pub(super) fn change_port(packet: &mut [u8], port: Port, mask: u16) {
    let Some((header, checksum)) = layout(packet) else { return };
    let at = header + if matches!(port, Port::Source) { 0 } else { 2 };
    let (Some(old), Some(sum)) = (word(packet, at), word(packet, header + checksum)) else { return };
    let new = old ^ mask;
    packet[at..at + 2].copy_from_slice(&new.to_be_bytes());
    let is_unused = packet[9] == UDP && sum == 0;
    if !is_unused {
        packet[header + checksum..][..2].copy_from_slice(&updated(sum, old, new).to_be_bytes());
    }
}

/// Where the ports stand, and behind them the checksum.
fn layout(packet: &[u8]) -> Option<(usize, usize)> {
    let header = usize::from(packet.first()? & 15) * 4;
    match *packet.get(9)? {
        TCP => Some((header, 16)),
        UDP => Some((header, 6)),
        _ => None,
    }
}

fn word(packet: &[u8], at: usize) -> Option<u16> {
    packet.get(at..at + 2)?.try_into().ok().map(u16::from_be_bytes)
}

/// The checksum after a word has changed (RFC 1624).
fn updated(sum: u16, old: u16, new: u16) -> u16 {
    let mut total = u32::from(!sum) + u32::from(!old) + u32::from(new);
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    !(total as u16)
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

    /// The sum of all words, which a correct checksum makes 0xffff.
    fn sum(bytes: &[u8]) -> u16 {
        let words = bytes.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
        let total: u32 = words.sum();
        ((total & 0xffff) + (total >> 16)) as u16
    }

    #[test]
    fn a_changed_port_leaves_the_checksum_right_and_twice_is_as_before() {
        // Source port 0x1234, destination port 80, length 8, and a checksum that fits.
        let mut datagram = vec![0x12, 0x34, 0, 80, 0, 8, 0, 0];
        let missing = !sum(&datagram);
        datagram[6..].copy_from_slice(&missing.to_be_bytes());
        let before = ip(UDP, &datagram);
        for port in [Port::Source, Port::Destination] {
            let mut packet = before.clone();
            change_port(&mut packet, port, 0xf0f0);
            assert_ne!(packet, before);
            assert_eq!(sum(&packet[20..]), 0xffff, "{port:?}");
            change_port(&mut packet, port, 0xf0f0);
            assert_eq!(packet, before);
        }
        let mut other = ip(1, &datagram);
        change_port(&mut other, Port::Source, 1);
        assert_eq!(other, ip(1, &datagram));
        change_port(&mut [], Port::Source, 1);
        change_port(&mut ip(TCP, &[1, 2, 3]), Port::Source, 1);
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
