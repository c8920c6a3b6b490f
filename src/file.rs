//! Bounded reads, since a file may be a device or grow without end.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Reads the file at `path`.
///
/// # Errors
/// If it cannot be read, or has more than `limit` bytes ([`io::ErrorKind::FileTooLarge`]).
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    read_from(File::open(path)?, limit)
}

/// Reads `input` to its end.
///
/// # Errors
/// As [`read`].
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
        assert_eq!(read(Path::new("/dev/zero"), 10).map_err(|error| error.kind()), Err(io::ErrorKind::FileTooLarge));
    }
}
