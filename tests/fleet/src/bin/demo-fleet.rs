//! `demo-fleet DIR` runs the demo without an exporter: servers and a name server on this host's loopback, and an
//! exporter configuration for them, `DIR/demo.yaml`. `demo-fleet --ready DIR` exits with 0 once that file is written.

use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use smtp_fleet::demo::{CONFIG_FILE, Demo};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let result = match arguments.as_slice() {
        [flag, folder] if flag == "--ready" => fs::metadata(Path::new(folder).join(CONFIG_FILE)).map(drop),
        [folder] => serve(Path::new(folder)),
        _ => {
            eprintln!("usage: demo-fleet [--ready] DIR");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo-fleet: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(folder: &Path) -> io::Result<()> {
    let config = folder.join(CONFIG_FILE);
    // A file from an earlier run contains ports that are no longer in use.
    match fs::remove_file(&config) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    Runtime::new()?.block_on(async {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let demo = Demo::start(folder).await?;
        println!("ready; exporter configuration: {}", demo.config().display());
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        Ok(())
    })
}
