//! The link between two nodes at level 2.

mod table;
#[cfg(test)]
mod table_tests;
