//! Servers on loopback, each on an address of its own, all on one port.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use crate::network::{Network, breathe, on_fresh_network};
use crate::script::ServerSpec;
use prepared::Part;
use session_log::{Ledger, Visit};

pub use session_log::Session;

mod connection;
pub(crate) mod dialogue;
pub(crate) mod prepared;
pub(crate) mod session_log;

/// Servers on the addresses of one 127.x.y.0/24, from .1 on, all on one port. Everything ends on drop.
#[derive(Debug)]
pub struct Fleet {
    servers: Vec<Server>,
    port: u16,
}

impl Fleet {
    /// Starts a server for every spec, in their order.
    ///
    /// # Errors
    /// None or more than 254 specs (`InvalidInput`), and whatever the kernel says to binding.
    pub async fn start(specs: Vec<ServerSpec>) -> io::Result<Self> {
        if specs.is_empty() || specs.len() > Network::HOSTS {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a fleet has 1 to 254 servers"));
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

    /// Where the servers listen, in the same order.
    pub fn addrs(&self) -> Vec<SocketAddr> {
        self.servers.iter().map(Server::addr).collect()
    }

    /// The servers' addresses without the port, as a DNS answer wants them.
    pub fn ips(&self) -> Vec<IpAddr> {
        self.servers.iter().map(|server| server.addr.ip()).collect()
    }
}

/// One server of a fleet.
#[derive(Debug)]
pub struct Server {
    addr: SocketAddr,
    part: Arc<Mutex<Arc<Part>>>,
    ledger: Arc<Ledger>,
    task: tokio::sync::Mutex<Option<Running>>,
}

impl Server {
    /// Where it listens; the same after every [`start`](Self::start).
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Connections accepted so far.
    pub fn accepted(&self) -> usize {
        self.ledger.accepted()
    }

    /// The most connections that were open at once. For this count one ends when the client closes it, when the server
    /// has read QUIT, or when the server ends it.
    pub fn peak_concurrency(&self) -> usize {
        self.ledger.peak()
    }

    /// What each of the last 16,384 finished connections did, in the order of their ends.
    pub fn sessions(&self) -> Vec<Session> {
        self.ledger.sessions()
    }

    /// Waits until `n` connections were accepted in all.
    ///
    /// # Panics
    /// After 30 seconds.
    pub async fn wait_accepted(&self, n: usize) {
        self.ledger.wait_accepted(n, self.addr).await;
    }

    /// Waits until `n` connections have finished in all.
    ///
    /// # Panics
    /// After 30 seconds.
    pub async fn wait_sessions(&self, n: usize) {
        self.ledger.wait_sessions(n, self.addr).await;
    }

    /// Plays another spec to connections from now on; those that are open keep theirs.
    pub fn replace(&self, spec: ServerSpec) {
        let part = Arc::new(Part::new(spec));
        *self.part.lock().unwrap_or_else(PoisonError::into_inner) = part;
    }

    /// Closes the listener and every connection, as a process that dies. On return it is done, and connecting is refused.
    pub async fn stop(&self) {
        if let Some(running) = self.task.lock().await.take() {
            running.end().await;
        }
    }

    /// Listens again, on the same address and port, if it was stopped.
    ///
    /// # Errors
    /// Where somebody else took the port meanwhile.
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
            part: Arc::new(Mutex::new(Arc::new(Part::new(spec)))),
            ledger: Arc::default(),
            task: tokio::sync::Mutex::default(),
        };
        *server.task.get_mut() = Some(server.run(listener));
        Ok(server)
    }

    fn run(&self, listener: TcpListener) -> Running {
        let (part, ledger) = (Arc::clone(&self.part), Arc::clone(&self.ledger));
        let (stop, stopped) = oneshot::channel();
        Running { stop, task: tokio::spawn(accept(listener, part, ledger, stopped)) }
    }
}

/// The accepting task, which owns the connections: they end with it.
#[derive(Debug)]
struct Running {
    /// Dropped to say that it is time.
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    async fn end(self) {
        drop(self.stop);
        // The task has nothing to tell, and a panic in it was printed.
        let _ = self.task.await;
    }
}

async fn accept(
    listener: TcpListener,
    part: Arc<Mutex<Arc<Part>>>,
    ledger: Arc<Ledger>,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else {
                    breathe().await;
                    continue;
                };
                let part = Arc::clone(&part.lock().unwrap_or_else(PoisonError::into_inner));
                let visit = ledger.enter(&stream);
                connections.spawn(connection(stream, part, visit));
            }
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    connections.shutdown().await;
}

async fn connection(stream: TcpStream, part: Arc<Part>, mut visit: Visit) {
    let scene = part.scene(visit.number);
    // However it ends, the visit has what was seen until then.
    let _ = dialogue::play(stream, &scene, &mut visit).await;
}
