//! The resolver of this host: `resolv.conf` and the hosts file, which are re-read when they change.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join;
use parking_lot::Mutex;
use tokio::time::timeout;

use super::hosts_file::HostsFile;
use super::name_servers::{NameServer, Servers};
use super::resolv_conf::ResolvConf;
use crate::file::{Contents, FileReader, ReadResult};
use crate::observation::LocalFailure;
use crate::reason::LocalReason;
use crate::target::SystemResolver;

/// The files that configure name resolution on this host.
#[derive(Debug)]
pub(super) struct SystemFiles {
    resolver: SystemResolver,
    reader: FileReader,
    last: Mutex<Option<(FileStates, Current)>>,
}

/// Each file as it was read last, or the error.
type FileStates = [Result<Arc<Contents>, (ErrorKind, String)>; 2];

type Current = Result<Servers, LocalFailure>;

impl SystemFiles {
    pub(super) fn new(resolver: SystemResolver, reader: FileReader) -> Self {
        Self { resolver, reader, last: Mutex::default() }
    }

    /// Reads the files. If that takes too long, what was read last is used.
    ///
    /// # Errors
    /// If `resolv.conf` cannot be read, so that the name servers are not known.
    pub(super) async fn current(&self) -> Current {
        let last = self.last.lock().clone();
        let known = last.as_ref().map(|(states, _)| states.each_ref().map(|state| state.as_ref().ok().cloned()));
        let [resolv_conf, hosts] = known.unwrap_or_default();
        let SystemResolver { resolv_conf: resolv_conf_path, hosts: hosts_path, .. } = &self.resolver;
        let reads = join(self.reader.read(resolv_conf_path, resolv_conf), self.reader.read(hosts_path, hosts));
        let Ok((resolv_conf, hosts)) = timeout(FILE_TIMEOUT, reads).await else {
            let detail = format_args!("{} and {}: no answer", resolv_conf_path.display(), hosts_path.display());
            return last
                .map_or_else(|| Err(LocalFailure::new(LocalReason::NameServers, detail)), |(_, current)| current);
        };
        let states = [resolv_conf, hosts].map(state);
        let mut last = self.last.lock();
        if let Some((_, current)) = last.as_ref().filter(|(known, _)| *known == states) {
            return current.clone();
        }
        let current = self.parse(&states);
        *last = Some((states, current.clone()));
        current
    }

    /// An error in one file does not affect the other; it is logged once per change.
    fn parse(&self, [resolv_conf, hosts]: &FileStates) -> Current {
        let SystemResolver { resolv_conf: resolv_conf_path, hosts: hosts_path, .. } = &self.resolver;
        let hosts = hosts.as_ref().map(|file| HostsFile::parse(&file.bytes)).unwrap_or_else(|(_, error)| {
            tracing::warn!(file = %hosts_path.display(), %error, "failed to read hosts file");
            HostsFile::default()
        });
        let bytes = match resolv_conf {
            Ok(file) => &*file.bytes,
            Err((kind, error)) => {
                tracing::warn!(file = %resolv_conf_path.display(), %error, "failed to read name servers");
                if !is_missing(*kind) {
                    let detail = format_args!("{}: {error}", resolv_conf_path.display());
                    return Err(LocalFailure::new(LocalReason::NameServers, detail));
                }
                &[]
            }
        };
        let ResolvConf { name_servers, search } = ResolvConf::parse(bytes, &self.resolver);
        let servers = name_servers.into_iter().map(NameServer::new).collect();
        Ok(Servers { servers, hosts: Some(Arc::new(hosts)), search: Some(Arc::new(search)), ..Servers::default() })
    }
}

fn state(read: Option<ReadResult>) -> Result<Arc<Contents>, (ErrorKind, String)> {
    match read {
        Some(read) => read.map_err(|error| (error.kind(), error.to_string())),
        None => Err((ErrorKind::Other, "the read ended by a panic".to_owned())),
    }
}

/// Whether libc goes on as if the file were empty.
fn is_missing(error: ErrorKind) -> bool {
    use ErrorKind::{IsADirectory, NotADirectory, NotFound, PermissionDenied};
    matches!(error, NotFound | PermissionDenied | IsADirectory | NotADirectory)
}

const FILE_TIMEOUT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io;
    use std::net::IpAddr;
    use std::path::PathBuf;
    use std::time::SystemTime;

    use super::*;
    use crate::target::ServerName;

    fn resolver([resolv_conf, hosts]: [PathBuf; 2]) -> SystemResolver {
        SystemResolver { resolv_conf, hosts, port: 53, ..SystemResolver::default() }
    }

    struct Files {
        paths: [PathBuf; 2],
        writes: u64,
    }

    impl Files {
        /// Writes a file with a modification time one minute after that of the last one.
        fn write(&mut self, which: usize, text: &str) {
            let path = &self.paths[which];
            fs::write(path, text).expect("the file is written");
            self.writes += 1;
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(60 * self.writes);
            fs::File::options().write(true).open(path).and_then(|file| file.set_modified(at)).expect("a time");
        }
    }

    fn paths(folder: &tempfile::TempDir) -> [PathBuf; 2] {
        ["resolv.conf", "hosts"].map(|name| folder.path().join(name))
    }

    async fn check(what: &str, names: &SystemFiles, servers: &[&str], entry: Option<&str>) {
        let current = names.current().await.expect("files that can be read");
        let found: Vec<String> = current.servers.iter().map(|server| server.client.address.ip().to_string()).collect();
        let name = ServerName::parse("relay.test").expect("a name");
        let expected = entry.map(|ip| vec![ip.parse::<IpAddr>().expect("an address")]);
        let entry = current.hosts_entry(&name).map(<[IpAddr]>::to_vec);
        assert_eq!(
            (found.iter().map(String::as_str).collect::<Vec<_>>().as_slice(), entry),
            (servers, expected),
            "{what}"
        );
    }

    #[tokio::test]
    async fn re_reads_the_system_files_when_they_change() {
        let folder = tempfile::tempdir().expect("a folder");
        let names = SystemFiles::new(resolver(paths(&folder)), FileReader::default());
        let mut files = Files { paths: paths(&folder), writes: 0 };
        let (default, one, two) = (["127.0.0.1"], ["192.0.2.53"], ["192.0.2.53", "192.0.2.54"]);
        check("neither file", &names, &default, None).await;
        files.write(0, "nameserver 192.0.2.53\n");
        check("servers alone", &names, &one, None).await;
        files.write(1, "192.0.2.1 relay.test\n");
        check("an entry", &names, &one, Some("192.0.2.1")).await;
        files.write(1, "192.0.2.2 relay.test\n");
        check("the same length later", &names, &one, Some("192.0.2.2")).await;
        files.write(0, "nameserver 192.0.2.53\nnameserver 192.0.2.54\n");
        check("another server", &names, &two, Some("192.0.2.2")).await;
        files.write(0, "search example.com\n");
        check("no server", &names, &default, Some("192.0.2.2")).await;
        fs::remove_file(&files.paths[1]).expect("the file goes");
        check("the entry is gone", &names, &default, None).await;
    }

    #[tokio::test]
    async fn uses_what_was_read_last_while_the_file_system_hangs() {
        let (release, hang) = std::sync::mpsc::channel::<()>();
        let hang = Mutex::new(hang);
        let reader = FileReader::new(move |path, known| {
            if known.is_some() {
                let _ = hang.lock().recv();
            }
            let text = if path.ends_with("hosts") { "192.0.2.1 relay.test\n" } else { "nameserver 192.0.2.53\n" };
            Ok(Arc::new(text.as_bytes().to_vec().into()))
        });
        let paths = ["resolv.conf", "hosts"].map(PathBuf::from);
        let names = SystemFiles::new(resolver(paths.clone()), reader.clone());
        check("the first read", &names, &["192.0.2.53"], Some("192.0.2.1")).await;
        check("a read that hangs", &names, &["192.0.2.53"], Some("192.0.2.1")).await;
        let failure = SystemFiles::new(resolver(paths), reader).current().await.expect_err("no read ended");
        assert_eq!(failure.reason, LocalReason::NameServers);
        drop(release);
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_is_a_local_failure_unless_libc_ignores_it() {
        for (kind, is_ignored) in [
            (ErrorKind::NotFound, true),
            (ErrorKind::PermissionDenied, true),
            (ErrorKind::IsADirectory, true),
            (ErrorKind::NotADirectory, true),
            (ErrorKind::InvalidInput, false),
            (ErrorKind::FileTooLarge, false),
            (ErrorKind::Other, false),
        ] {
            let reader = FileReader::new(move |_, _| Err(io::Error::from(kind)));
            let files = SystemFiles::new(resolver(["resolv.conf", "hosts"].map(PathBuf::from)), reader);
            let found = files.current().await.map(|servers| servers.servers.len()).map_err(|failure| failure.reason);
            assert_eq!(found, if is_ignored { Ok(1) } else { Err(LocalReason::NameServers) }, "{kind}");
        }
    }
}
