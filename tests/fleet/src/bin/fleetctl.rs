//! `fleetctl N DIR` runs N mail servers and a name server that are controlled by commands on standard input.
//!
//! It writes the trusted root to `DIR/root.pem` and prints one line of JSON: the addresses of the servers (one port, a
//! different IP address for each), the address of the name server, and the path of the root. Then it executes one command
//! per input line and answers each with `{"ok":true}` or `{"error":"…"}`, until end of input. Servers are numbered from
//! 1:
//!
//! ```text
//! {"resolve": {"name": "smtp.example.com", "to": [1, 2, 3]}}        resolve the name to these servers; an empty list
//!                                                                   is an empty answer
//! {"forget": "smtp.example.com"}                                    remove the name (NXDOMAIN)
//! {"present": {"servers": [1, 2], "names": ["mail.example.com"]}}   correct servers with one certificate for these names
//! {"present": {"servers": [3], "names": ["mail.example.com"],
//!              "from": -86400, "until": 600, "issuer": "stranger"}} validity period in seconds from now, and issuer:
//!                                                                   intermediate, stranger (untrusted root) or self
//! {"present": {"servers": [3], "names": ["mail.example.com"],
//!              "staple": "revoked"}}                                with an OCSP response: good, revoked or unknown
//! {"play": {"servers": [3], "kind": "no_starttls"}}                 a server profile (`smtp_fleet::profiles`)
//! {"stop": [1]}                                                     close the listener and all connections
//! {"start": [1]}                                                    listen again on the same address
//! ```
//!
//! Each command is one line; some are wrapped here. Initially no name exists, and all servers present one certificate for
//! `mail.example.com`.

use std::io::{self, BufRead, Read as _, Write as _};
use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;

use hickory_proto::rr::Name;
use serde::Deserialize;
use serde_json::{Value, json};
use smtp_fleet::ocsp::{ResponseSpec, Status};
use smtp_fleet::{CertSpec, Dns, Fleet, Identity, Issuer, Pki, Server, ServerSpec, profiles};
use tokio::runtime::Runtime;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(servers), Some(folder), None) = (arguments.next(), arguments.next(), arguments.next()) else {
        eprintln!("usage: fleetctl N DIR");
        return ExitCode::from(2);
    };
    let Some(servers) = servers.to_str().and_then(|number| number.parse().ok()) else {
        eprintln!("fleetctl: invalid number of servers `{}`", servers.display());
        return ExitCode::from(2);
    };
    match run(servers, Path::new(&folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fleetctl: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Servers run on the runtime's threads while this thread reads commands.
fn run(servers: usize, folder: &Path) -> io::Result<()> {
    let runtime = Runtime::new()?;
    let controller = runtime.block_on(Controller::open(servers))?;
    let root = folder.join("root.pem");
    std::fs::write(&root, controller.pki.root_pem())?;
    print(&controller.description(&root))?;
    let mut input = io::stdin().lock();
    while let Some(line) = read_line(&mut input)? {
        let answer = match line.as_deref().map_err(|error| (*error).to_owned()).and_then(parse) {
            Ok(command) => runtime.block_on(controller.execute(command)),
            Err(error) => Err(error),
        };
        print(&match answer {
            Ok(()) => json!({ "ok": true }),
            Err(error) => json!({ "error": error }),
        })?;
    }
    Ok(())
}

fn print(line: &Value) -> io::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{line}")?;
    output.flush()
}

/// The next line, or an error in it; `None` at end of input. A line that is too long is skipped.
fn read_line(input: &mut impl BufRead) -> io::Result<Option<Result<String, &'static str>>> {
    let mut line = Vec::new();
    if input.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.last() != Some(&b'\n') && line.len() as u64 == MAX_LINE {
        input.skip_until(b'\n')?;
        return Ok(Some(Err("the line is too long")));
    }
    Ok(Some(String::from_utf8(line).map_err(|_| "the line is not UTF-8")))
}

fn parse(line: &str) -> Result<Command, String> {
    serde_json::from_str(line).map_err(|error| error.to_string())
}

/// A command.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Command {
    Resolve(Addresses),
    Forget(DomainName),
    Present(Certificate),
    Play(Profile),
    Stop(ServerNumbers),
    Start(ServerNumbers),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Addresses {
    name: DomainName,
    to: ServerNumbers,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Certificate {
    servers: ServerNumbers,
    names: Vec<DomainName>,
    from: Option<SecondsFromNow>,
    until: Option<SecondsFromNow>,
    #[serde(default)]
    issuer: Signer,
    staple: Option<Stapled>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Profile {
    servers: ServerNumbers,
    kind: String,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Signer {
    #[default]
    Intermediate,
    Stranger,
    #[serde(rename = "self")]
    Itself,
}

/// The status in the OCSP response, which the intermediate signs whatever the issuer is.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stapled {
    Good,
    Revoked,
    Unknown,
}

/// Server numbers, counted from 1.
type ServerNumbers = Vec<usize>;

/// A name that is valid in both a zone and a certificate.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct DomainName(String);

impl TryFrom<String> for DomainName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        match name.is_ascii() && !name.is_empty() && Name::from_str_relaxed(&name).is_ok() {
            true => Ok(Self(name)),
            false => Err(format!("invalid domain name {name:?}")),
        }
    }
}

/// Seconds from now, within the range of certificate dates.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "i64")]
struct SecondsFromNow(i64);

impl TryFrom<i64> for SecondsFromNow {
    type Error = String;

    fn try_from(seconds: i64) -> Result<Self, String> {
        match (-MAX_SECONDS..=MAX_SECONDS).contains(&seconds) {
            true => Ok(Self(seconds)),
            false => Err(format!("invalid time {seconds}: expected at most {MAX_SECONDS} seconds from now")),
        }
    }
}

struct Controller {
    fleet: Fleet,
    dns: Dns,
    pki: Pki,
}

impl Controller {
    async fn open(servers: usize) -> io::Result<Self> {
        let pki = Pki::new();
        let spec = ServerSpec::new(pki.issue(&CertSpec::valid_for(&[profiles::HOST])));
        // The fleet itself rejects more servers than it supports.
        let fleet = Fleet::start(vec![spec; servers.min(usize::from(u8::MAX))]).await?;
        Ok(Self { fleet, dns: Dns::start().await?, pki })
    }

    fn description(&self, root: &Path) -> Value {
        let servers: Vec<_> = self.fleet.addrs().iter().map(ToString::to_string).collect();
        json!({ "servers": servers, "nameserver": self.dns.addr().to_string(), "root": root })
    }

    async fn execute(&self, command: Command) -> Result<(), String> {
        match command {
            Command::Resolve(addresses) => {
                let ips: Vec<IpAddr> = self.servers(&addresses.to)?.iter().map(|server| server.addr().ip()).collect();
                self.dns.set_addresses(&addresses.name.0, &ips);
            }
            Command::Forget(name) => self.dns.clear(&name.0),
            Command::Present(certificate) => {
                let servers = self.servers(&certificate.servers)?;
                replace(&servers, &ServerSpec::new(self.issue(&certificate)));
            }
            Command::Play(profile) => {
                let servers = self.servers(&profile.servers)?;
                let mut kinds = profiles::all(&self.pki).into_iter();
                let (_, spec) = kinds
                    .find(|(name, _)| *name == profile.kind)
                    .ok_or_else(|| format!("unknown kind {:?}", profile.kind))?;
                replace(&servers, &spec);
            }
            Command::Stop(numbers) => {
                for server in self.servers(&numbers)? {
                    server.stop().await;
                }
            }
            Command::Start(numbers) => {
                for server in self.servers(&numbers)? {
                    server.start().await.map_err(|error| format!("{}: {error}", server.addr()))?;
                }
            }
        }
        Ok(())
    }

    fn issue(&self, certificate: &Certificate) -> Identity {
        let identity = self.pki.issue(&certificate.spec());
        let Some(stapled) = certificate.staple else { return identity };
        let response = ResponseSpec::new(match stapled {
            Stapled::Good => Status::Good,
            Stapled::Revoked => Status::Revoked,
            Stapled::Unknown => Status::Unknown,
        });
        let response = response.sign(self.pki.intermediate(), identity.leaf_der());
        identity.with_staple(response)
    }

    /// All of these servers, or an error before any is changed.
    fn servers(&self, numbers: &[usize]) -> Result<Vec<&Server>, String> {
        let servers = self.fleet.servers();
        let server = |number: &usize| number.checked_sub(1).and_then(|index| servers.get(index));
        let found = numbers.iter().map(|number| {
            server(number).ok_or_else(|| format!("unknown server {number}: expected 1 to {}", servers.len()))
        });
        found.collect()
    }
}

impl Certificate {
    fn spec(&self) -> CertSpec {
        let names: Vec<&str> = self.names.iter().map(|name| name.0.as_str()).collect();
        let spec = CertSpec::valid_for(&names).with_issuer(match self.issuer {
            Signer::Intermediate => Issuer::Intermediate,
            Signer::Stranger => Issuer::Untrusted,
            Signer::Itself => Issuer::SelfSigned,
        });
        let (from, until) =
            (self.from.map_or(spec.not_before, |it| it.0), self.until.map_or(spec.not_after, |it| it.0));
        spec.with_validity(from, until)
    }
}

fn replace(servers: &[&Server], spec: &ServerSpec) {
    for server in servers {
        server.replace(spec.clone());
    }
}

const MAX_LINE: u64 = 64 * 1024;

/// A hundred years, which certificate dates can represent.
const MAX_SECONDS: i64 = 100 * 365 * 86_400;

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    async fn send(controller: &Controller, line: &str) -> Result<(), String> {
        controller.execute(parse(line)?).await
    }

    #[tokio::test]
    async fn rejects_an_invalid_command_without_changes() {
        #[track_caller]
        fn check(answer: Result<(), String>, part: &str) {
            let error = answer.expect_err(part);
            assert!(error.contains(part), "{error}");
        }

        let controller = Controller::open(2).await.unwrap();
        for (line, part) in [
            ("", "EOF"),
            ("stop 1", "expected value"),
            ("[]", "expected value"),
            (r#"{"leave": [1]}"#, "unknown variant `leave`"),
            (r#"{"stop": 1}"#, "invalid type: integer"),
            (r#"{"stop": [-1]}"#, "invalid value: integer `-1`"),
            (r#"{"stop": [1, 3]}"#, "unknown server 3: expected 1 to 2"),
            (r#"{"stop": [0]}"#, "unknown server 0"),
            (r#"{"forget": ""}"#, "invalid domain name"),
            (r#"{"forget": "b\u00fccher.example.com"}"#, "invalid domain name"),
            (r#"{"forget": "a..example.com"}"#, "invalid domain name"),
            (r#"{"resolve": {"name": "smtp.example.com", "to": [1], "ttl": 1}}"#, "unknown field `ttl`"),
            (r#"{"play": {"servers": [1], "kind": "unheard_of"}}"#, "unknown kind \"unheard_of\""),
            (r#"{"present": {"servers": [1]}}"#, "missing field `names`"),
            (r#"{"present": {"servers": [1], "names": [], "issuer": "nobody"}}"#, "unknown variant `nobody`"),
            (r#"{"present": {"servers": [1], "names": [], "staple": "stale"}}"#, "unknown variant `stale`"),
            (r#"{"present": {"servers": [1], "names": [], "until": 9223372036854775807}}"#, "invalid time"),
            (r#"{"present": {"servers": [1], "names": [], "from": -4000000000}}"#, "invalid time"),
        ] {
            check(send(&controller, line).await, part);
        }
        for addr in controller.fleet.addrs() {
            TcpStream::connect(addr).await.unwrap();
        }
    }

    #[tokio::test]
    async fn stops_and_starts_servers() {
        let controller = Controller::open(2).await.unwrap();
        let [first, second] = controller.fleet.addrs()[..] else { panic!("two servers") };
        send(&controller, r#"{"stop": [2, 2]}"#).await.unwrap();
        TcpStream::connect(first).await.unwrap();
        TcpStream::connect(second).await.unwrap_err();
        send(&controller, r#"{"start": [1, 2]}"#).await.unwrap();
        TcpStream::connect(second).await.unwrap();
    }

    #[test]
    fn issues_the_certificate_that_the_command_describes() {
        let Ok(Command::Present(certificate)) = parse(
            r#"{"present": {"servers": [], "names": ["a.example.com"], "from": -5, "until": 10, "issuer": "self"}}"#,
        ) else {
            panic!("a certificate")
        };
        let spec = certificate.spec();
        assert_eq!((spec.not_before, spec.not_after), (-5, 10));
        assert!(matches!(spec.issuer, Issuer::SelfSigned), "{spec:?}");
        assert_eq!(spec.names, ["a.example.com"]);
    }

    #[test]
    fn skips_a_line_that_is_too_long() {
        let most = usize::try_from(MAX_LINE).unwrap();
        let text = format!("{}\nlast", "x".repeat(2 * most));
        let mut input = text.as_bytes();
        assert_eq!(read_line(&mut input).unwrap(), Some(Err("the line is too long")));
        assert_eq!(read_line(&mut input).unwrap(), Some(Ok("last".to_owned())));
        assert_eq!(read_line(&mut input).unwrap(), None);
    }
}
