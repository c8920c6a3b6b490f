//! Bounded reads of files.

use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use thiserror::Error;

mod reader;

pub use reader::{Contents, FileReader, ReadResult};

/// Reads the regular file at `path`. Opening anything else could wait forever (a FIFO), or have effects (a device).
///
/// # Errors
/// If it cannot be read, is not a regular file ([`io::ErrorKind::InvalidInput`]), or has more than `limit` bytes
/// ([`io::ErrorKind::FileTooLarge`]).
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    tracing::debug!(file = %path.display(), "reading file");
    expect_regular(&fs::metadata(path)?)?;
    // A FIFO may have replaced the file since.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    expect_regular(&file.metadata()?)?;
    read_from(file, limit)
}

fn expect_regular(data: &fs::Metadata) -> io::Result<()> {
    match data {
        _ if data.is_file() => Ok(()),
        _ if data.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    }
}

/// The result of `work`, which reads files, on a thread of its own. If it takes longer than `limit`, as on a network file
/// system whose server is gone, the thread is left alone.
///
/// # Errors
/// If there is no result.
pub fn with_deadline<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, NoResult> {
    let (sender, receiver) = mpsc::sync_channel(1);
    // The caller may have given up.
    thread::Builder::new().spawn(move || drop(sender.send(work()))).map_err(NoResult::NoThread)?;
    receiver.recv_timeout(limit).map_err(|error| match error {
        RecvTimeoutError::Timeout => NoResult::Expired(limit),
        RecvTimeoutError::Disconnected => NoResult::Panicked,
    })
}

/// Why [`with_deadline`] has no result.
#[derive(Debug, Error)]
pub enum NoResult {
    /// The work did not end within this limit.
    #[error("it did not end within {0:?}: a file system does not respond")]
    Expired(Duration),
    /// The work panicked.
    #[error("it ended with a panic, which is a defect of the exporter")]
    Panicked,
    /// No thread can be started.
    #[error("no thread can be started: {0}")]
    NoThread(io::Error),
}

/// Reads `input` to its end.
///
/// # Errors
/// If it cannot be read, or has more than `limit` bytes ([`io::ErrorKind::FileTooLarge`]).
pub fn read_from(input: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {limit} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_ends_at_its_deadline() {
        let (release, hang) = mpsc::channel::<()>();
        assert_eq!(with_deadline(Duration::from_secs(60), || 1).ok(), Some(1));
        let expired = with_deadline(Duration::from_millis(1), move || hang.recv());
        assert!(matches!(expired, Err(NoResult::Expired(_))), "{expired:?}");
        drop(release);
    }

    #[test]
    fn a_panic_is_not_a_timeout() {
        let panicked = with_deadline(Duration::from_secs(60), || -> u8 { panic!("expected by the test") });
        assert!(matches!(panicked, Err(NoResult::Panicked)), "{panicked:?}");
    }

    #[test]
    fn reads_are_bounded() {
        for (length, limit, is_ok) in [(0, 0, true), (3, 3, true), (4, 3, false), (1, u64::MAX, true)] {
            let found = read_from(io::repeat(b'x').take(length), limit);
            let too_large = found.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::FileTooLarge);
            assert_eq!((found.is_ok(), too_large), (is_ok, !is_ok), "{length} bytes, limit {limit}");
        }
        let found = read(Path::new("/dev/zero"), 10);
        assert_eq!(found.map_err(|error| error.kind()), Err(io::ErrorKind::InvalidInput));
    }
}
