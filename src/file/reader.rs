//! Reads of files that may take forever, as on a network file system whose server is gone. They run on a few threads of
//! their own, so that a read that hangs delays only those who wait for the same file, until they give up.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::SystemTime;

use futures_channel::oneshot;
use futures_util::FutureExt;
use futures_util::future::Shared;
use parking_lot::Mutex;

/// Reads files on its own threads, at most four. Cheap to clone; clones share the threads.
#[derive(Clone)]
pub struct FileReader(Arc<Inner>);

/// The content of a file, or why it could not be read.
pub type ReadResult = Result<Arc<Contents>, Arc<io::Error>>;

type ReadFn = dyn Fn(&Path, Option<&Arc<Contents>>) -> io::Result<Arc<Contents>> + Send + Sync;

struct Inner {
    read: Box<ReadFn>,
    pool: Mutex<Pool>,
}

#[derive(Default)]
struct Pool {
    threads: usize,
    queue: VecDeque<Job>,
    /// The reads that are queued or under way, one for each path.
    reads: HashMap<PathBuf, Shared<oneshot::Receiver<ReadResult>>>,
}

struct Job {
    path: PathBuf,
    known: Option<Arc<Contents>>,
    sender: oneshot::Sender<ReadResult>,
}

/// A file as it was read.
#[derive(Debug, PartialEq, Eq)]
pub struct Contents {
    /// All of it.
    pub bytes: Vec<u8>,
    /// None if the file has to be read again each time.
    stamp: Option<Stamp>,
}

/// What changes when a file does: time, length and inode, as a file that is moved here keeps its time.
type Stamp = (SystemTime, u64, u64);

impl FileReader {
    /// A reader that calls `read` on its threads with the path and what is known of the file.
    pub fn new(
        read: impl Fn(&Path, Option<&Arc<Contents>>) -> io::Result<Arc<Contents>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Inner { read: Box::new(read), pool: Mutex::default() }))
    }

    /// Reads the file at `path`; returns `known` if the file has not changed since. While a read of the path is under
    /// way, further calls wait for its result. The future never resolves if the file system hangs: a deadline is up to
    /// the caller. None if the read panicked.
    pub fn read(
        &self,
        path: &Path,
        known: Option<Arc<Contents>>,
    ) -> impl Future<Output = Option<ReadResult>> + Send + use<> {
        let mut pool = self.0.pool.lock();
        let running = pool.reads.get(path).cloned();
        let read = running.unwrap_or_else(|| {
            let (sender, receiver) = oneshot::channel();
            let read = receiver.shared();
            pool.reads.insert(path.to_owned(), read.clone());
            pool.queue.push_back(Job { path: path.to_owned(), known, sender });
            read
        });
        // If no thread can be started, the next call tries again.
        if !pool.queue.is_empty() && pool.threads < MAX_THREADS {
            let inner = Arc::clone(&self.0);
            let started = thread::Builder::new().name("file-reader".to_owned()).spawn(move || inner.work());
            pool.threads += usize::from(started.is_ok());
        }
        read.map(Result::ok)
    }
}

impl Default for FileReader {
    /// A reader of regular files of up to 16 MiB.
    fn default() -> Self {
        Self::new(read_if_changed)
    }
}

impl fmt::Debug for FileReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileReader").finish_non_exhaustive()
    }
}

impl Inner {
    /// Does what is queued, then ends the thread.
    fn work(&self) {
        loop {
            let mut pool = self.pool.lock();
            let Some(job) = pool.queue.pop_front() else {
                pool.threads -= 1;
                return;
            };
            drop(pool);
            let result = catch_unwind(AssertUnwindSafe(|| (self.read)(&job.path, job.known.as_ref())));
            self.pool.lock().reads.remove(&job.path);
            if let Ok(result) = result {
                // All callers may have given up.
                let _ = job.sender.send(result.map_err(Arc::new));
            }
        }
    }
}

impl From<Vec<u8>> for Contents {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, stamp: None }
    }
}

fn read_if_changed(path: &Path, known: Option<&Arc<Contents>>) -> io::Result<Arc<Contents>> {
    let data = fs::metadata(path)?;
    let stamp = data.modified().ok().map(|modified| (modified, data.len(), data.ino()));
    if let Some(known) = known.filter(|known| stamp.is_some() && known.stamp == stamp) {
        return Ok(Arc::clone(known));
    }
    Ok(Arc::new(Contents { bytes: super::read(path, MAX_FILE)?, stamp }))
}

/// Hung reads occupy at most this many threads.
const MAX_THREADS: usize = 4;
const MAX_FILE: u64 = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    /// A reader whose reads of paths that begin with `hung` wait until the sender is dropped, and the number of its
    /// reads.
    fn reader() -> (FileReader, mpsc::Sender<()>, Arc<AtomicUsize>) {
        let (release, hang) = mpsc::channel::<()>();
        let (hang, reads) = (Mutex::new(hang), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&reads);
        let reader = FileReader::new(move |path, _| {
            count.fetch_add(1, Ordering::SeqCst);
            if path.to_string_lossy().starts_with("hung") {
                // All of them wait: one for the message, the others for the lock.
                let _ = hang.lock().recv();
            }
            assert!(!path.ends_with("panic"), "a panic on purpose");
            Ok(Arc::new(path.to_string_lossy().into_owned().into_bytes().into()))
        });
        (reader, release, reads)
    }

    fn bytes(result: Option<ReadResult>) -> Option<Vec<u8>> {
        Some(result?.expect("no error").bytes.clone())
    }

    #[tokio::test]
    async fn a_hung_read_occupies_one_thread_and_others_go_on() {
        let (reader, release, reads) = reader();
        let hung: Vec<_> = (0..100).map(|_| reader.read(Path::new("hung"), None)).collect();
        assert_eq!(bytes(reader.read(Path::new("a"), None).await), Some(b"a".to_vec()));
        assert_eq!(bytes(reader.read(Path::new("panic"), None).await), None);
        assert_eq!(bytes(reader.read(Path::new("b"), None).await), Some(b"b".to_vec()));
        drop(release);
        for read in hung {
            assert_eq!(bytes(read.await), Some(b"hung".to_vec()));
        }
        assert_eq!(reads.load(Ordering::SeqCst), 4);
    }

    #[tokio::test]
    async fn reads_wait_in_the_queue_while_all_threads_hang() {
        let (reader, release, reads) = reader();
        for number in 0..MAX_THREADS {
            drop(reader.read(Path::new(&format!("hung{number}")), None));
        }
        let waiting: Vec<_> = (0..3).map(|_| reader.read(Path::new("a"), None)).collect();
        assert!(timeout(Duration::from_millis(50), reader.read(Path::new("a"), None)).await.is_err());
        assert_eq!(reader.0.pool.lock().reads.len(), MAX_THREADS + 1);
        assert!(reads.load(Ordering::SeqCst) <= MAX_THREADS);
        drop(release);
        for read in waiting {
            assert_eq!(bytes(read.await), Some(b"a".to_vec()));
        }
        assert_eq!(reads.load(Ordering::SeqCst), MAX_THREADS + 1);
    }

    #[tokio::test]
    async fn returns_what_is_known_of_an_unchanged_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        let reader = FileReader::default();
        let kind = |result: Option<ReadResult>| result.expect("no panic").expect_err("no file").kind();
        assert_eq!(kind(reader.read(&path, None).await), io::ErrorKind::NotFound);
        fs::write(&path, "one").expect("the file is written");
        let one = reader.read(&path, None).await.expect("no panic").expect("a file");
        let same = reader.read(&path, Some(Arc::clone(&one))).await.expect("no panic").expect("a file");
        assert!(Arc::ptr_eq(&one, &same));
        fs::write(&path, "three").expect("the file is written");
        let three = reader.read(&path, Some(one)).await.expect("no panic").expect("a file");
        assert_eq!(three.bytes, b"three");
        assert_eq!(kind(reader.read(folder.path(), None).await), io::ErrorKind::IsADirectory);
        assert_eq!(kind(reader.read(Path::new("/dev/zero"), None).await), io::ErrorKind::InvalidInput);
    }
}
