//! `cases DIR` writes the table of certificate chains to a directory, one subdirectory per case, for other programs to
//! verify. `cases --serve DIR` also serves each chain with implicit TLS, writes the address to the file `address`, prints a
//! line when all servers listen, and serves until its standard input is closed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rustls_pki_types::CertificateDer;
use serde_json::{Value, json};
use smtp_fleet::cases::{self, Agreement, Case, NameOutcome, Outcome};
use smtp_fleet::{Fleet, ServerSpec, TlsMode};

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let is_serving = arguments.first().is_some_and(|first| first == "--serve");
    arguments.drain(..usize::from(is_serving));
    let [folder] = &*arguments else {
        eprintln!("usage: cases [--serve] DIR");
        return ExitCode::from(2);
    };
    let folder = PathBuf::from(folder);
    let cases = cases::all();
    let mut result = cases.iter().try_for_each(|case| write(case, &folder.join(case.name)));
    if result.is_ok() && is_serving {
        result = serve(&cases, &folder).await;
    }
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", folder.display());
            ExitCode::FAILURE
        }
    }
}

async fn serve(cases: &[Case], folder: &Path) -> io::Result<()> {
    let mut fleets = Vec::new();
    for cases in cases.chunks(100) {
        let spec = |case: &Case| ServerSpec { tls: TlsMode::Implicit, ..ServerSpec::new(case.identity.clone()) };
        let fleet = Fleet::start(cases.iter().map(spec).collect()).await?;
        for (case, address) in cases.iter().zip(fleet.addrs()) {
            fs::write(folder.join(case.name).join("address"), address.to_string())?;
        }
        fleets.push(fleet);
    }
    println!("serving {} cases", cases.len());
    tokio::task::spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink())).await.map_err(io::Error::other)??;
    Ok(())
}

fn write(case: &Case, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("chain.pem"), pem(case.identity.chain()))?;
    fs::write(folder.join("roots.pem"), pem(&case.roots))?;
    for (number, seen) in case.other_servers.iter().enumerate() {
        fs::write(folder.join(format!("seen-{number}.pem")), pem(seen.chain()))?;
    }
    if case.identity.key().is_some() {
        fs::write(folder.join("key.pem"), case.identity.key_pem())?;
    }
    fs::write(folder.join("case.json"), format!("{:#}\n", description(case)))
}

fn pem(chain: &[CertificateDer<'_>]) -> String {
    chain.iter().map(|der| pem::encode(&pem::Pem::new("CERTIFICATE", der.as_ref()))).collect()
}

fn description(case: &Case) -> Value {
    let [openssl, gnutls, go] = case.outcomes();
    json!({
        "name": case.name,
        "server_name": case.server_name,
        "expected": {
            "name": match case.expected.name {
                NameOutcome::Match => Some("match"),
                NameOutcome::Mismatch(reason) => Some(reason),
                NameOutcome::Unknown => None,
            },
            "trusted": case.expected.trusted,
            "valid": case.expected.valid,
            "errors": case.expected.errors,
            "warnings": case.expected.warnings,
        },
        "openssl_name": agreement(case.openssl_name),
        "senders": { "openssl": outcome(openssl), "gnutls": outcome(gnutls), "go": outcome(go) },
    })
}

/// `accepts`, and the minor version of Go 1 before which the opposite is true.
fn outcome(outcome: Outcome) -> Value {
    let (accepts, since) = match outcome {
        Outcome::Accepts => (Some(true), None),
        Outcome::Refuses => (Some(false), None),
        Outcome::RefusesSince(version) => (Some(false), Some(version)),
        Outcome::AcceptsSince(version) => (Some(true), Some(version)),
        Outcome::Varies | Outcome::Cited(_) | Outcome::Unknown => (None, None),
    };
    json!({ "accepts": accepts, "since": since })
}

fn agreement(agreement: Agreement) -> Value {
    let (agrees, why, unparsed) = match agreement {
        Agreement::Agrees => (true, None, false),
        Agreement::Differs(why) => (false, Some(why), false),
        Agreement::Unparsed(why) => (false, Some(why), true),
    };
    json!({ "agrees": agrees, "why": why, "unparsed": unparsed })
}
