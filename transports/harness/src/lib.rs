//! The conformance suite that every transport passes, and fault decorators
#![forbid(unsafe_code)]
