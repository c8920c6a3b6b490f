//! Bounded reads of files.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

mod reader;

pub use reader::{Contents, FileReader, ReadResult};

/// Reads the regular file at `path`. Opening anything else could wait forever (a FIFO), or have effects (a device).
///
/// # Errors
/// If it cannot be read, is not a regular file ([`io::ErrorKind::InvalidInput`]), or has more than `limit` bytes
/// ([`io::ErrorKind::FileTooLarge`]).
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    tracing::debug!(file = %path.display(), "reading file");
    let data = fs::metadata(path)?;
    if data.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !data.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    read_from(File::open(path)?, limit)
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
