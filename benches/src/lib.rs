//! The workloads of docs/performance.md
#![forbid(unsafe_code)]
