//! The command line: arguments, sub-commands, logging and signals.

pub mod check;
pub mod cli;
pub mod health;
pub mod logging;
