//! Proves the harness: every kind of server does what its row says, to a client that follows the RFCs.

mod cases;
mod client;
mod dns;
mod listeners;
mod servers;
