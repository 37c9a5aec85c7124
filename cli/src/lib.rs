//! The myrmidon command
#![forbid(unsafe_code)]
