//! The TCP transport of Myrmidon
#![forbid(unsafe_code)]
