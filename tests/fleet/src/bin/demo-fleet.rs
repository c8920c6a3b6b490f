//! `demo-fleet DIR` is the demo's scene without an exporter: servers and names on this machine's loopback, with a config
//! for an exporter there, `DIR/demo.yaml`. `demo-fleet --ready DIR` tells by its exit code whether that is written.

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
    // One of an earlier run names ports that nobody listens on.
    match fs::remove_file(&config) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    Runtime::new()?.block_on(async {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let demo = Demo::start(folder).await?;
        println!("serving; {} is the exporter's config", demo.config().display());
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        Ok(())
    })
}
