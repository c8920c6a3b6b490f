//! Tests of the fleet itself: every server behaves as its profile says towards a client that follows the RFCs.

mod cases;
mod client;
mod dns;
mod listeners;
mod servers;
