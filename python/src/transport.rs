//! The one place where "tcp" and "quic" become types.

use pyo3::prelude::*;

use crate::errors::StartError;

/// The kinds of transport by name.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Tcp,
    Quic,
}

impl Kind {
    /// # Errors
    /// `StartError` for a name that is none.
    pub(crate) fn from_name(name: Option<&str>) -> PyResult<Self> {
        match name {
            None | Some("tcp") => Ok(Self::Tcp),
            Some("quic") => Ok(Self::Quic),
            Some(other) => {
                Err(StartError::new_err(format!("no transport {other:?}: use \"tcp\" or \"quic\"")))
            }
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Quic => "quic",
        }
    }
}
