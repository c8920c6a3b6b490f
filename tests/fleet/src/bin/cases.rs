//! `cases DIR` writes the table of certificate chains to a directory, one subdirectory per case, for other programs to
//! verify.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rustls_pki_types::CertificateDer;
use serde_json::{Value, json};
use smtp_fleet::cases::{self, Agreement, Case, NameOutcome};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(folder), None) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: cases DIR");
        return ExitCode::from(2);
    };
    let folder = PathBuf::from(folder);
    match cases::all().iter().try_for_each(|case| write(case, &folder.join(case.name))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", folder.display());
            ExitCode::FAILURE
        }
    }
}

fn write(case: &Case, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("chain.pem"), pem(case.identity.chain()))?;
    fs::write(folder.join("roots.pem"), pem(&case.roots))?;
    for (number, seen) in case.other_servers.iter().enumerate() {
        fs::write(folder.join(format!("seen-{number}.pem")), pem(seen.chain()))?;
    }
    fs::write(folder.join("case.json"), format!("{:#}\n", description(case)))
}

fn pem(chain: &[CertificateDer<'_>]) -> String {
    chain.iter().map(|der| pem::encode(&pem::Pem::new("CERTIFICATE", der.as_ref()))).collect()
}

fn description(case: &Case) -> Value {
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
        },
        "openssl": { "chain": agreement(case.openssl.chain), "name": agreement(case.openssl.name) },
    })
}

fn agreement(agreement: Agreement) -> Value {
    let (agrees, why, unparsed) = match agreement {
        Agreement::Agrees => (true, None, false),
        Agreement::Differs(why) => (false, Some(why), false),
        Agreement::Unparsed(why) => (false, Some(why), true),
    };
    json!({ "agrees": agrees, "why": why, "unparsed": unparsed })
}
