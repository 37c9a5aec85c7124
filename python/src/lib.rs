//! The Python extension module myrmidon._core
#![forbid(unsafe_code)]
