//! Many backends behind one listener.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::network::back_off;
use crate::pki::Identity;
use crate::script::{Script, TlsMode};
use crate::server::dialogue;
use crate::server::prepared::{ConnectionSpec, stateless_config};
use crate::server::session_log::SessionRecorder;

/// Returns the identity that the backend at an address presents. Called once per address.
pub type IdentityProvider = Arc<dyn Fn(Ipv4Addr) -> Identity + Send + Sync>;

/// One listener that serves every address in 127.64.0.0/10, each with its own identity, without session resumption.
/// Stops on drop.
#[derive(Debug)]
pub struct Farm {
    port: u16,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Farm {
    /// Starts a farm of correct servers with STARTTLS.
    ///
    /// # Errors
    /// The error from binding.
    pub async fn start(identity_of: IdentityProvider) -> io::Result<Self> {
        Self::start_with(identity_of, TlsMode::StartTls, Script::default()).await
    }

    /// Starts a farm whose servers all follow `script`.
    ///
    /// # Errors
    /// The error from binding.
    pub async fn start_with(identity_of: IdentityProvider, tls: TlsMode, script: Script) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((Ipv4Addr::UNSPECIFIED, 0).into())?;
        let listener = socket.listen(BACKLOG)?;
        let port = listener.local_addr()?.port();
        let connections = Arc::default();
        let state = Arc::new(State { identity_of, tls, script, configs: RwLock::default() });
        let task = tokio::spawn(accept(listener, state, Arc::clone(&connections)));
        Ok(Self { port, connections, task })
    }

    /// The port of every backend.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address of backend `index`, counted from 127.64.0.1.
    ///
    /// # Panics
    /// If the address is beyond 127.127.255.255 (about four million backends).
    pub fn addr(&self, index: u32) -> SocketAddr {
        let offset = index.checked_add(1).filter(|offset| *offset < SIZE);
        let ip = FIRST + offset.expect("an index within 127.64.0.0/10");
        SocketAddr::new(Ipv4Addr::from_bits(ip).into(), self.port)
    }

    /// Number of connections accepted so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Farm {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct State {
    identity_of: IdentityProvider,
    tls: TlsMode,
    script: Script,
    configs: RwLock<HashMap<Ipv4Addr, Arc<ServerConfig>>>,
}

impl State {
    fn config(&self, ip: Ipv4Addr) -> Arc<ServerConfig> {
        let known = self.configs.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = known.get(&ip) {
            return Arc::clone(config);
        }
        drop(known);
        let mut known = self.configs.write().unwrap_or_else(PoisonError::into_inner);
        let config = known.entry(ip).or_insert_with(|| stateless_config(&(self.identity_of)(ip)));
        Arc::clone(config)
    }
}

async fn accept(listener: TcpListener, state: Arc<State>, connections: Arc<AtomicUsize>) {
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else {
                    back_off().await;
                    continue;
                };
                connections.fetch_add(1, Ordering::Relaxed);
                tasks.spawn(connection(stream, Arc::clone(&state)));
            }
            Some(_) = tasks.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, state: Arc<State>) {
    let Ok(SocketAddr::V4(local)) = stream.local_addr() else {
        return;
    };
    let config = state.config(*local.ip());
    let spec = ConnectionSpec { tls: state.tls, script: &state.script, config: Some(&config) };
    // A farm records no sessions, so an error has nowhere to go.
    let _ = dialogue::run(stream, &spec, &mut SessionRecorder::discarding()).await;
}

/// 127.64.0.0/10.
const FIRST: u32 = Ipv4Addr::new(127, 64, 0, 0).to_bits();
const SIZE: u32 = 1 << 22;

/// Benchmarks connect in bursts; the kernel caps this at `net.core.somaxconn`.
const BACKLOG: u32 = 4096;
