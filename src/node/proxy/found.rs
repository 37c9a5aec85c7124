//! Whoever was found for a name that is followed.

use std::sync::Arc;

use bytes::Bytes;

use crate::actor::{MonitorRef, Remote};
use crate::error::SendError;
use crate::pid::Pid;

/// An actor that was found.
#[derive(Clone)]
pub(super) struct Found {
    /// Its own PID here.
    pub(super) pid: Pid,
    pub(super) remote: Arc<dyn Remote>,
    /// Tells of its end.
    pub(super) monitor: MonitorRef,
    /// Whether it did so.
    pub(super) over: bool,
}

impl Found {
    pub(super) fn new(pid: Pid, remote: Arc<dyn Remote>) -> Self {
        Self { pid, remote, monitor: MonitorRef::next(), over: false }
    }
}

/// What came of a message, unless it comes back since its receiver is gone.
pub(super) fn gone(sent: Result<(), SendError<Bytes>>) -> Result<Result<(), SendError<Bytes>>, Bytes> {
    match sent {
        Err(SendError::NoProcess { message, .. } | SendError::NoConnection { message, .. }) => Err(message),
        sent => Ok(sent),
    }
}
