//! Messages on standard error. Characters that are not printable are escaped, and lines for the journal of systemd begin
//! with their priority.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::env;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::panic::{self, PanicHookInfo};
use std::thread;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use crate::text::{escaped, escaped_for_json};

/// Priorities of syslog (RFC 5424 §6.2.1), which the journal reads from the start of a line (sd-daemon(3)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Priority {
    Error = 3,
    Warning = 4,
    Info = 6,
    Debug = 7,
}

impl From<Level> for Priority {
    fn from(level: Level) -> Self {
        match level {
            Level::ERROR => Self::Error,
            Level::WARN => Self::Warning,
            Level::INFO => Self::Info,
            Level::DEBUG | Level::TRACE => Self::Debug,
        }
    }
}

/// Standard error.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stderr {
    is_journal: bool,
}

impl Stderr {
    /// Standard error as it is now: it is the journal if `JOURNAL_STREAM` names its device and inode (systemd.exec(5)). A
    /// process whose standard error was redirected inherits the variable, too.
    pub(super) fn new() -> Self {
        let stream = env::var("JOURNAL_STREAM").ok();
        let is_journal = |stream: &str| file_of(io::stderr()).is_ok_and(|file| is_named(stream, file));
        Self { is_journal: stream.as_deref().is_some_and(is_journal) }
    }

    /// Writes `text`, line by line. A failed write is ignored: the exit code still says what happened.
    pub(super) fn write(self, priority: Priority, text: &str) {
        self.write_escaped(priority, text, escaped);
    }

    fn write_escaped(self, priority: Priority, text: &str, escape: fn(&str) -> String) {
        // One write, so that lines of several threads are not mixed.
        let _ = io::stderr().write_all(lines(self.is_journal.then_some(priority), text, escape).as_bytes());
    }

    /// Writes the messages of panics as errors to the journal. Elsewhere, those of the standard library remain.
    pub(super) fn report_panics(self) {
        if self.is_journal {
            panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
                let thread = thread::current();
                let name = thread.name().unwrap_or("<unnamed>");
                let trace = Some(Backtrace::capture()).filter(|trace| trace.status() == BacktraceStatus::Captured);
                let trace = trace.map(|trace| format!("\nstack backtrace:\n{trace}")).unwrap_or_default();
                self.write(Priority::Error, &format!("thread '{name}' {info}{trace}"));
            }));
        }
    }
}

/// Whether `stream`, the value of `JOURNAL_STREAM`, is this device and inode, in the notation of systemd.
fn is_named(stream: &str, (device, inode): (u64, u64)) -> bool {
    stream == format!("{device}:{inode}")
}

fn file_of(stream: impl AsFd) -> io::Result<(u64, u64)> {
    let file = File::from(stream.as_fd().try_clone_to_owned()?).metadata()?;
    Ok((file.dev(), file.ino()))
}

/// The lines of `text`, each escaped and after its priority.
fn lines(priority: Option<Priority>, text: &str, escape: fn(&str) -> String) -> String {
    let prefix = priority.map(|priority| format!("<{}>", priority as u8)).unwrap_or_default();
    text.split_terminator('\n').map(|line| format!("{prefix}{}\n", escape(line))).collect()
}

/// Standard error for the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogWriter {
    pub(super) stderr: Stderr,
    pub(super) is_json: bool,
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = EventWriter;

    fn make_writer(&'a self) -> EventWriter {
        EventWriter { log: *self, priority: Priority::Info }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> EventWriter {
        EventWriter { log: *self, priority: (*metadata.level()).into() }
    }
}

/// Writes events with one priority, each in one call.
#[derive(Clone, Copy, Debug)]
pub(super) struct EventWriter {
    log: LogWriter,
    priority: Priority,
}

impl Write for EventWriter {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let escape = if self.log.is_json { escaped_for_json } else { escaped };
        self.log.stderr.write_escaped(self.priority, &String::from_utf8_lossy(event), escape);
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn compares_device_and_inode_exactly() {
        let file = (8, 1_234_567);
        assert!(is_named("8:1234567", file) && is_named(&format!("0:{}", u64::MAX), (0, u64::MAX)));
        for other in [
            "",
            ":",
            "8",
            "8:",
            ":1234567",
            "8:1234568",
            "9:1234567",
            "+8:1234567",
            "8:+1234567",
            "08:1234567",
            "8:01234567",
            "8:1234567:9",
            "8:0x12d687",
            "-8:1234567",
            "8:1234567\n",
            " 8:1234567",
        ] {
            assert!(!is_named(other, file), "{other:?}");
        }
    }

    #[test]
    fn every_line_has_its_priority_and_is_escaped() {
        use Priority::{Debug, Error, Info, Warning};
        for (priority, text, expected) in [
            (None, "one\ntwo\n", "one\ntwo\n"),
            (Some(Error), "one\n", "<3>one\n"),
            (Some(Warning), "one\ntwo", "<4>one\n<4>two\n"),
            (Some(Info), "one\n\ntwo\n", "<6>one\n<6>\n<6>two\n"),
            (Some(Debug), "<3>\u{202e}\r\n", "<7><3>\\u{202e}\\r\n"),
            (Some(Error), "", ""),
        ] {
            assert_eq!(lines(priority, text, escaped), expected, "{text:?}");
        }
        let json = "{\"name\":\"\u{202e}\u{e0041}\"}\n";
        assert_eq!(lines(None, json, escaped_for_json), "{\"name\":\"\\u202e\\udb40\\udc41\"}\n");
    }

    /// In a process of its own, since the hook is that of the process.
    #[test]
    fn panics_are_errors_in_the_journal() {
        const NAME: &str = "cmd::stderr::tests::panics_are_errors_in_the_journal";
        if env::var_os("PANICS").is_some() {
            Stderr::new().report_panics();
            panic!("first \u{202e}\nsecond");
        }
        for (is_journal, backtrace) in [(true, "0"), (true, "1"), (false, "0")] {
            let (reader, writer) = UnixStream::pair().expect("a pair of sockets");
            let (device, inode) = file_of(&writer).expect("a file");
            let mut command = Command::new(env::current_exe().expect("a path"));
            command.args(["--exact", NAME, "--nocapture"]).env("PANICS", "1").env("RUST_BACKTRACE", backtrace);
            command.env("JOURNAL_STREAM", if is_journal { format!("{device}:{inode}") } else { "0:0".to_owned() });
            let mut process = command.stdout(Stdio::null()).stderr(OwnedFd::from(writer)).spawn().expect("it starts");
            // Closes the writing end.
            drop(command);
            let text = io::read_to_string(reader).expect("text");
            assert!(!process.wait().expect("it ends").success());
            assert!(text.contains("panicked at") && text.contains("second"), "{text}");
            assert_eq!(text.lines().all(|line| line.starts_with("<3>")), is_journal, "{text}");
            assert_eq!(text.contains('\u{202e}'), !is_journal, "{text}");
            assert_eq!(text.contains("stack backtrace:"), backtrace == "1", "{text}");
        }
    }

    #[test]
    fn levels_have_the_priorities_of_syslog() {
        let priorities = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE].map(Priority::from);
        assert_eq!(priorities.map(|priority| priority as u8), [3, 4, 6, 7, 7]);
    }
}
