//! Texts that come from users and peers: addresses, and the names that ask for a level.

use myrmidon::transport::NodeAddr;
use myrmidon::wire::level2::{Probe, magic, read_magic};

pub(crate) fn text(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match text.parse::<NodeAddr>() {
        Ok(addr) => {
            let again: NodeAddr = addr.to_string().parse().expect("an address is written as it is read");
            assert_eq!(again, addr, "{text:?}");
        }
        Err(error) => assert!(error.to_string().len() < 2000, "an error does not repeat everything"),
    }
    if let Some(probe) = Probe::read(&text) {
        assert_eq!(probe.name(), text, "a probe has one spelling");
    }
    if let Some(number) = data.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
        && let Some((version, capabilities)) = read_magic(number)
        && version == myrmidon::wire::level2::VERSION
    {
        assert_eq!(magic(capabilities), number);
    }
}
