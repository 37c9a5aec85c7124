//! The decorator adds its faults and nothing else.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use myrmidon::transport::TransportError;
use myrmidon::transport::memory::{MemoryNetwork, MemoryTransport};
use myrmidon_transport_harness::{Faults, Faulty, Pair, Subject, conformance, within};

fn faulty(faults: Faults) -> Faulty {
    Faulty::new(Arc::new(MemoryTransport::new(&MemoryNetwork::new())), faults)
}

fn subject(faulty: &Faulty) -> Subject {
    Subject::new(Arc::new(faulty.clone()), "node:0")
}

mod delayed {
    use super::*;

    conformance!(subject(&faulty(Faults {
        seed: 1,
        delay: Some(Duration::ZERO..Duration::from_micros(200)),
        ..Faults::default()
    })));
}

#[tokio::test]
async fn a_connection_breaks_at_the_given_byte() {
    // The byte that opens the lane counts.
    let faulty = faulty(Faults { cut_after: Some(6), ..Faults::default() });
    let pair = Pair::connect(&subject(&faulty)).await;
    let ((mut tx, _rx), (_back, mut there)) = pair.lane().await;
    tx.write(&mut [Bytes::from_static(b"abc")]).await.unwrap();
    assert_eq!(there.read(10).await.unwrap().unwrap(), "abc");
    let over = tx.write(&mut [Bytes::from_static(b"d"), Bytes::from_static(b"efg")]).await;
    assert!(matches!(over, Err(TransportError::Lost(_))));
    within("the reader to fail", async { while there.read(10).await.is_ok() {} }).await;
    within("closed()", pair.dialler.closed()).await;
    within("closed()", pair.acceptor.closed()).await;
}

#[tokio::test]
async fn cut_now_breaks_what_waits_on_either_side() {
    let faulty = faulty(Faults::default());
    let pair = Pair::connect(&subject(&faulty)).await;
    let ((_tx, mut rx), (_back, mut there)) = pair.lane().await;
    let cutting = async { faulty.cut_now() };
    let (read, other, count) = tokio::join!(rx.read(1), there.read(1), cutting);
    assert_eq!(count, 2, "both ends belong to the decorated transport");
    assert!(matches!(read, Err(TransportError::Lost(_))));
    assert!(matches!(other, Err(TransportError::Lost(_))));
    assert_eq!(faulty.cut_now(), 0);
    Pair::connect(&subject(&faulty)).await;
}
