//! Ten thousand backends behind one listener.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::network::breathe;
use crate::pki::Identity;
use crate::script::{Script, TlsMode};
use crate::server::dialogue;
use crate::server::prepared::{Scene, light_config};
use crate::server::session_log::Visit;

/// Which identity the backend at an address presents. Asked once an address.
pub type IdentityProvider = Arc<dyn Fn(Ipv4Addr) -> Identity + Send + Sync>;

/// One listener that serves every address of 127.64.0.0/10, each with an identity of its own: STARTTLS, no tickets,
/// no sessions kept. Ends on drop.
#[derive(Debug)]
pub struct Farm {
    port: u16,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Farm {
    /// Starts a farm of servers in order.
    ///
    /// # Errors
    /// Whatever the kernel says to binding.
    pub async fn start(identity_of: IdentityProvider) -> io::Result<Self> {
        Self::start_with(identity_of, TlsMode::StartTls, Script::default()).await
    }

    /// Starts a farm whose servers all play `script`.
    ///
    /// # Errors
    /// Whatever the kernel says to binding.
    pub async fn start_with(identity_of: IdentityProvider, tls: TlsMode, script: Script) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((Ipv4Addr::UNSPECIFIED, 0).into())?;
        let listener = socket.listen(BACKLOG)?;
        let port = listener.local_addr()?.port();
        let connections = Arc::default();
        let fields = Arc::new(Fields { identity_of, tls, script, configs: RwLock::default() });
        let task = tokio::spawn(accept(listener, fields, Arc::clone(&connections)));
        Ok(Self { port, connections, task })
    }

    /// The port of every backend.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The `index`-th backend, from 127.64.0.1 on.
    ///
    /// # Panics
    /// Beyond 127.127.255.255, which is about four million.
    pub fn addr(&self, index: u32) -> SocketAddr {
        let offset = index.checked_add(1).filter(|offset| *offset < SIZE);
        let ip = FIRST + offset.expect("an index within 127.64.0.0/10");
        SocketAddr::new(Ipv4Addr::from_bits(ip).into(), self.port)
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Farm {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Fields {
    identity_of: IdentityProvider,
    tls: TlsMode,
    script: Script,
    configs: RwLock<HashMap<Ipv4Addr, Arc<ServerConfig>>>,
}

impl Fields {
    fn config(&self, ip: Ipv4Addr) -> Arc<ServerConfig> {
        let known = self.configs.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = known.get(&ip) {
            return Arc::clone(config);
        }
        drop(known);
        let mut known = self.configs.write().unwrap_or_else(PoisonError::into_inner);
        let config = known.entry(ip).or_insert_with(|| light_config(&(self.identity_of)(ip)));
        Arc::clone(config)
    }
}

async fn accept(listener: TcpListener, fields: Arc<Fields>, connections: Arc<AtomicUsize>) {
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else {
                    breathe().await;
                    continue;
                };
                connections.fetch_add(1, Ordering::Relaxed);
                tasks.spawn(connection(stream, Arc::clone(&fields)));
            }
            Some(_) = tasks.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, fields: Arc<Fields>) {
    let Ok(SocketAddr::V4(local)) = stream.local_addr() else {
        return;
    };
    let config = fields.config(*local.ip());
    let scene = Scene { tls: fields.tls, script: &fields.script, config: Some(&config) };
    // Nobody is told how a connection of a farm ended.
    let _ = dialogue::play(stream, &scene, &mut Visit::unrecorded()).await;
}

/// 127.64.0.0/10.
const FIRST: u32 = Ipv4Addr::new(127, 64, 0, 0).to_bits();
const SIZE: u32 = 1 << 22;

/// Benches connect in bursts; the kernel cuts this to `net.core.somaxconn`.
const BACKLOG: u32 = 4096;
