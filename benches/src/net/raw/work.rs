//! The work of both sides, on any pipe.

use std::time::Instant;

use super::super::message::{LARGE, SMALL, Tally, large, message};
use super::frames::{Frames, Pipe};
use super::text;
use crate::local::{percentiles, rate};
use crate::measure::Figures;

/// Asks what has come.
const END: &[u8] = b"!";
/// Trips before the clock runs.
const WARM_UP: u64 = 200;

pub(super) async fn serve(pipe: impl Pipe, work: &str) -> Result<(), String> {
    let mut frames = Frames::new(pipe);
    if work == "trip" { echo(&mut frames).await } else { count(&mut frames).await }
}

pub(super) async fn drive(pipe: impl Pipe, work: &str, amount: u64) -> Figures {
    let mut frames = Frames::new(pipe);
    let mut sent = Tally::default();
    check(&mut frames, sent, work).await?;
    let begun = Instant::now();
    match work {
        "small" => {
            for number in 0..amount {
                let message = message(number, SMALL);
                sent.enter(&message);
                frames.send(&message).await?;
            }
            check(&mut frames, sent, work).await?;
            Ok(vec![rate(amount, begun)])
        }
        "large" => {
            let messages = large();
            let begun = Instant::now();
            for message in messages.iter().cycle().take(usize::try_from(amount).map_err(text)?) {
                sent.enter(message);
                frames.send_large(message.clone()).await?;
            }
            check(&mut frames, sent, work).await?;
            Ok(vec![rate(amount, begun) * LARGE as f64])
        }
        _ => trips(&mut frames, amount).await,
    }
}

async fn count(frames: &mut Frames<impl Pipe>) -> Result<(), String> {
    let mut tally = Tally::default();
    while let Some(message) = frames.next().await? {
        if message == END {
            frames.send(&std::mem::take(&mut tally).encode()).await?;
            frames.flush().await?;
        } else {
            tally.enter(&message);
        }
    }
    Ok(())
}

async fn echo(frames: &mut Frames<impl Pipe>) -> Result<(), String> {
    while let Some(message) = frames.next().await? {
        frames.send(&message).await?;
        frames.flush().await?;
    }
    Ok(())
}

/// Compares with what the other side has counted; one that only sends back has nothing to say.
async fn check(frames: &mut Frames<impl Pipe>, sent: Tally, work: &str) -> Result<(), String> {
    frames.send(END).await?;
    frames.flush().await?;
    let answer = frames.next().await?.ok_or("the other side ended")?;
    if work == "trip" { Ok(()) } else { sent.check(&answer) }
}

async fn trips(frames: &mut Frames<impl Pipe>, amount: u64) -> Figures {
    let mut waits = Vec::new();
    for number in 1..=WARM_UP + amount {
        let message = message(number, SMALL);
        let begun = Instant::now();
        frames.send(&message).await?;
        frames.flush().await?;
        if frames.next().await?.ok_or("the other side ended")? != message {
            return Err(format!("message {number} came back changed"));
        }
        if number > WARM_UP {
            waits.push(begun.elapsed());
        }
    }
    percentiles(waits)
}
