//! Loopback networks and ports, chosen so that parallel tests do not collide.

use std::io;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use tokio::time::sleep;

/// Calls `bind` with new loopback networks until it no longer fails with `AddrInUse`.
pub(crate) async fn on_fresh_network<T>(mut bind: impl AsyncFnMut(Network) -> io::Result<T>) -> io::Result<T> {
    let mut outcome = Err(io::ErrorKind::AddrInUse.into());
    for _ in 0..ATTEMPTS {
        outcome = bind(Network::fresh()).await;
        match &outcome {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            _ => break,
        }
    }
    outcome
}

/// Waits briefly after accept failed: the process is out of file descriptors, and no event reports when one is free.
pub(crate) async fn back_off() {
    sleep(Duration::from_millis(10)).await;
}

/// A 127.x.y.0/24 network in the upper half of 127.0.0.0/8; 127.64.0.0/10 belongs to the farm.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Network([u8; 2]);

impl Network {
    /// Usable addresses: .1 to .254.
    pub(crate) const HOSTS: usize = 254;

    /// The address with this index, counted from .1; `index` is below [`Self::HOSTS`].
    pub(crate) fn host(self, index: usize) -> Ipv4Addr {
        debug_assert!(index < Self::HOSTS);
        Ipv4Addr::new(127, self.0[0], self.0[1], index as u8 + 1)
    }

    /// The first network depends on the process id, so that test binaries running in parallel rarely collide.
    fn fresh() -> Self {
        let start = std::process::id().wrapping_mul(40_503);
        let number = start.wrapping_add(u32::from(NEXT.fetch_add(1, Ordering::Relaxed))) % COUNT;
        Self([128 + (number >> 8) as u8, number as u8])
    }
}

static NEXT: AtomicU16 = AtomicU16::new(0);

/// 127.128.0.0/24 to 127.254.255.0/24.
const COUNT: u32 = 127 * 256;

const ATTEMPTS: usize = 64;
