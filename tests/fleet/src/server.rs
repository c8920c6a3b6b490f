//! Servers on loopback, each on its own address, all on one port.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use crate::network::{Network, back_off, on_fresh_network};
use crate::script::ServerSpec;
use prepared::PreparedServer;
use session_log::{SessionLog, SessionRecorder};

pub use session_log::Session;

mod client_auth;
mod connection;
pub(crate) mod dialogue;
pub(crate) mod prepared;
pub(crate) mod session_log;

/// Servers on consecutive addresses of one 127.x.y.0/24, from .1, all on one port. Everything stops on drop.
#[derive(Debug)]
pub struct Fleet {
    servers: Vec<Server>,
    port: u16,
}

impl Fleet {
    /// Starts one server per spec, in order.
    ///
    /// # Errors
    /// `InvalidInput` for no specs or more than 254; otherwise the error from binding.
    pub async fn start(specs: Vec<ServerSpec>) -> io::Result<Self> {
        if specs.is_empty() || specs.len() > Network::HOSTS {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "invalid number of servers: expected 1 to 254"));
        }
        let (listeners, port) = on_fresh_network(async |network| {
            let mut listeners = Vec::with_capacity(specs.len());
            let mut port = 0;
            for index in 0..specs.len() {
                let listener = TcpListener::bind((network.host(index), port)).await?;
                port = listener.local_addr()?.port();
                listeners.push(listener);
            }
            Ok((listeners, port))
        })
        .await?;
        let servers = specs
            .into_iter()
            .zip(listeners)
            .map(|(spec, listener)| Server::new(spec, listener))
            .collect::<io::Result<_>>()?;
        Ok(Self { servers, port })
    }

    /// The port that all servers listen on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The servers, in the order of their specs.
    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// The listen addresses, in the same order.
    pub fn addrs(&self) -> Vec<SocketAddr> {
        self.servers.iter().map(Server::addr).collect()
    }

    /// The IP addresses, as needed for a DNS answer.
    pub fn ips(&self) -> Vec<IpAddr> {
        self.servers.iter().map(|server| server.addr.ip()).collect()
    }
}

/// One server of a fleet.
#[derive(Debug)]
pub struct Server {
    addr: SocketAddr,
    prepared: Arc<Mutex<Arc<PreparedServer>>>,
    log: Arc<SessionLog>,
    task: tokio::sync::Mutex<Option<Running>>,
}

impl Server {
    /// The listen address; unchanged by [`start`](Self::start).
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Number of connections accepted so far.
    pub fn accepted(&self) -> usize {
        self.log.accepted()
    }

    /// The maximum number of connections that were open at once. For this count a connection ends when the client closes
    /// it, when the server has read QUIT, or when the server closes it.
    pub fn peak_concurrency(&self) -> usize {
        self.log.peak()
    }

    /// The last 16,384 finished sessions, in the order in which they ended.
    pub fn sessions(&self) -> Vec<Session> {
        self.log.sessions()
    }

    /// Waits until `n` connections have been accepted in total.
    ///
    /// # Panics
    /// After 30 seconds.
    pub async fn wait_accepted(&self, n: usize) {
        self.log.wait_accepted(n, self.addr).await;
    }

    /// Waits until `n` sessions have finished in total.
    ///
    /// # Panics
    /// After 30 seconds.
    pub async fn wait_sessions(&self, n: usize) {
        self.log.wait_sessions(n, self.addr).await;
    }

    /// Uses another spec for new connections; open connections keep the previous one.
    pub fn replace(&self, spec: ServerSpec) {
        let prepared = Arc::new(PreparedServer::new(spec));
        *self.prepared.lock().unwrap_or_else(PoisonError::into_inner) = prepared;
    }

    /// Closes the listener and every connection, as if the process had died. When this returns, connections are refused.
    pub async fn stop(&self) {
        if let Some(running) = self.task.lock().await.take() {
            running.end().await;
        }
    }

    /// Listens again on the same address and port if it was stopped.
    ///
    /// # Errors
    /// If another process has taken the port in the meantime.
    pub async fn start(&self) -> io::Result<()> {
        let mut task = self.task.lock().await;
        if task.is_none() {
            *task = Some(self.run(TcpListener::bind(self.addr).await?));
        }
        Ok(())
    }

    fn new(spec: ServerSpec, listener: TcpListener) -> io::Result<Self> {
        let mut server = Self {
            addr: listener.local_addr()?,
            prepared: Arc::new(Mutex::new(Arc::new(PreparedServer::new(spec)))),
            log: Arc::default(),
            task: tokio::sync::Mutex::default(),
        };
        *server.task.get_mut() = Some(server.run(listener));
        Ok(server)
    }

    fn run(&self, listener: TcpListener) -> Running {
        let (prepared, log) = (Arc::clone(&self.prepared), Arc::clone(&self.log));
        let (stop, stopped) = oneshot::channel();
        Running { stop, task: tokio::spawn(accept(listener, prepared, log, stopped)) }
    }
}

/// The accept task. It owns the connections, so they end when it ends.
#[derive(Debug)]
struct Running {
    /// Dropping it stops the task.
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    async fn end(self) {
        drop(self.stop);
        // The task returns nothing, and a panic in it has already been printed.
        let _ = self.task.await;
    }
}

async fn accept(
    listener: TcpListener,
    prepared: Arc<Mutex<Arc<PreparedServer>>>,
    log: Arc<SessionLog>,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else {
                    back_off().await;
                    continue;
                };
                let prepared = Arc::clone(&prepared.lock().unwrap_or_else(PoisonError::into_inner));
                let recorder = log.accept(&stream);
                connections.spawn(connection(stream, prepared, recorder));
            }
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    connections.shutdown().await;
}

async fn connection(stream: TcpStream, prepared: Arc<PreparedServer>, mut recorder: SessionRecorder) {
    let spec = prepared.connection_spec(recorder.number);
    // On an error the recorder keeps what was observed until then.
    let _ = dialogue::run(stream, &spec, &mut recorder).await;
}
