//! What is given to `Runtime` as numbers and names, and what the core wants instead.

use std::time::Duration;

use myrmidon::config::{Level, NodeConfig, Profile};
use myrmidon_quic::{Congestion, UnknownCongestion};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::wait::seconds;

/// Stands for no limit where the core wants one.
pub(super) const FOREVER: Duration = Duration::from_secs(3600 * 24 * 365);
/// More threads of a kind than this are a slip, and would exhaust the machine.
const MOST_THREADS: usize = 1024;

pub(super) fn threads(name: &str, count: usize) -> PyResult<usize> {
    match count {
        1..=MOST_THREADS => Ok(count),
        _ => Err(PyValueError::new_err(format!("{name} is from 1 to {MOST_THREADS} threads, not {count}"))),
    }
}

pub(super) fn distance(name: &str) -> PyResult<Profile> {
    match name {
        "loopback" => Ok(Profile::Loopback),
        "lan" => Ok(Profile::Lan),
        "wan" => Ok(Profile::Wan),
        _ => {
            let text = format!("no profile {name:?}: use \"loopback\", \"lan\" or \"wan\", or leave it out");
            Err(PyValueError::new_err(text))
        }
    }
}

pub(super) fn control(name: &str) -> PyResult<Congestion> {
    name.parse().map_err(|error: UnknownCongestion| PyValueError::new_err(error.to_string()))
}

pub(super) fn protocol(level: u8) -> PyResult<Level> {
    match level {
        1 => Ok(Level::One),
        2 => Ok(Level::Two),
        _ => Err(PyValueError::new_err(format!("level is 1, the documented framing, or 2, not {level}"))),
    }
}

/// How many lanes a link has for messages.
pub(super) fn lanes_of_a_link(count: u8) -> PyResult<u8> {
    let most = NodeConfig::MOST_MESSAGE_LANES;
    match count {
        0..=NodeConfig::MOST_MESSAGE_LANES => Ok(count),
        _ => Err(PyValueError::new_err(format!("message_lanes is from 0 to {most}, not {count}"))),
    }
}

/// Sets a bound without which nothing could ever be done.
pub(super) fn set_count(name: &str, given: Option<usize>, field: &mut usize) -> PyResult<()> {
    match given {
        Some(0) => Err(PyValueError::new_err(format!("{name} is 1 or more"))),
        Some(count) => {
            *field = count;
            Ok(())
        }
        None => Ok(()),
    }
}

/// Sets a clock without which nothing could ever succeed.
pub(super) fn set_positive(name: &str, given: Option<f64>, field: &mut Duration) -> PyResult<()> {
    set(name, given, field)?;
    if field.is_zero() {
        return Err(PyValueError::new_err(format!("{name} is longer than 0 seconds")));
    }
    Ok(())
}

pub(super) fn set(name: &str, given: Option<f64>, field: &mut Duration) -> PyResult<()> {
    if let Some(given) = given {
        *field = seconds(name, given)?.unwrap_or(FOREVER);
    }
    Ok(())
}
