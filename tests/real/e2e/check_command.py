"""The output of the `check` command, compared with the findings of `openssl s_client` and testssl.sh."""

from __future__ import annotations

import hashlib
import json
import re
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import openssl
from .checks import Step, expect
from .process import run
from .servers import EXIM, IMPLICIT, MAIL, SMTP, STARTTLS, Host, MailServers

OK = 0
PROBLEMS_FOUND = 1
USAGE_ERROR = 2

COLUMNS = 80
# Headings of the text output. Actions and requests have commands, which are not wrapped.
SECTION = re.compile(r"^ *(PROBLEMS|ACTIONS|REQUEST TO SEND|CLIENT ERRORS|CERTIFICATES)\b")
UNWRAPPED = {"ACTIONS", "REQUEST TO SEND"}


def steps(servers: MailServers, exporter: Path) -> Iterator[Step]:
    command = CheckCommand(servers, exporter)
    yield "check: exits with 1 and agrees with s_client on every backend", command.agrees_with_openssl
    yield "check: agrees with testssl.sh on certificates, names and dates", command.agrees_with_testssl
    yield "check: advises on mismatched and expired backends and on an alternate name", command.advises
    yield "check: exports the presented certificates", command.exports
    yield "check: probes an address and name without a config", command.probes_without_config
    yield "check: exits with 0 if everything is ok", command.exits_with_0


@dataclass(frozen=True)
class Listening:
    host: Host
    port: int
    server_name: str

    @property
    def backend(self) -> str:
        return f"{self.host.address}:{self.port}"


class CheckCommand:
    def __init__(self, servers: MailServers, exporter: Path) -> None:
        self._servers = servers
        self._exporter = exporter
        self._listening = [Listening(*each) for each in servers.listeners()]

    def agrees_with_openssl(self) -> None:
        backends = self._backends()
        expect(backends.keys() == {each.backend for each in self._listening}, f"{sorted(backends)}")
        for each in self._listening:
            seen = backends[each.backend]
            theirs = openssl.verify(
                each.host.address, each.port, each.port == IMPLICIT, each.server_name, self._servers.ca.root
            )
            code = openssl.OK
            if not seen["chain"]["valid"]:
                code = openssl.CERT_HAS_EXPIRED
            elif not seen["name"]["match"]:
                code = openssl.HOSTNAME_MISMATCH
            ours = openssl.Verification(seen["certificate"]["fingerprint_sha256"], code)
            expect(ours == theirs, f"{each.backend}: {ours}, s_client reports {theirs}")

    def agrees_with_testssl(self) -> None:
        servers = self._servers
        tested = [
            Listening(servers.valid, STARTTLS, SMTP),
            Listening(servers.renewed, STARTTLS, SMTP),
            Listening(servers.expired, IMPLICIT, SMTP),
            Listening(servers.exim_mismatched, STARTTLS, EXIM),
        ]
        backends = self._backends()
        with ThreadPoolExecutor(max_workers=2) as pool:
            for each, findings in zip(tested, pool.map(self._testssl, tested), strict=True):
                seen = backends[each.backend]
                certificate = seen["certificate"]
                ours = {
                    "cert_fingerprintSHA256": certificate["fingerprint_sha256"],
                    "cert_fingerprintSHA1": certificate["thumbprint_sha1"],
                    "cert_subjectAltName": set(certificate["names"]),
                    "cert_notAfter": certificate["not_after"]["rfc3339"][:16].replace("T", " "),
                    "expired": certificate["expiry_days"] < 0,
                    "cert_trust": seen["name"]["match"],
                }
                theirs = {
                    "cert_fingerprintSHA256": findings["cert_fingerprintSHA256"].lower(),
                    "cert_fingerprintSHA1": findings["cert_fingerprintSHA1"].lower(),
                    "cert_subjectAltName": set(findings["cert_subjectAltName"].split()),
                    "cert_notAfter": findings["cert_notAfter"],
                    "expired": findings["cert_expirationStatus"] == "expired",
                    "cert_trust": findings["cert_trust"].lower().startswith("ok"),
                }
                expect(ours == theirs, f"{each.backend}: {ours}, testssl.sh reports {theirs}")

    def advises(self) -> None:
        servers, target = self._servers, f"{SMTP}:{STARTTLS}"
        done = self._check(target)
        expect(done.returncode == PROBLEMS_FOUND, f"exit code {done.returncode}: {done.stderr}")
        sections = _sections(done.stdout)
        expect({"PROBLEMS", "ACTIONS", "CLIENT ERRORS"} <= sections.keys(), f"sections: {list(sections)}")
        long = [line for section in sections.keys() - UNWRAPPED for line in sections[section] if len(line) > COLUMNS]
        expect(not long, f"lines of over {COLUMNS} columns: {long}")

        [found] = json.loads(self._check(target, "--output=json").stdout)["targets"]
        advice = {each["kind"]: each for each in found["advice"]}
        mismatched = {f"{host.address}:{STARTTLS}" for host in (servers.renewed, servers.retired)}
        for kind, expected in (
            ("reissue", mismatched),
            ("expired", {f"{servers.expired.address}:{STARTTLS}"}),
            ("use_shared_name", {f"{host.address}:{STARTTLS}" for host in servers.smtp}),
        ):
            named = {each["backend"] for each in advice[kind]["backends"]} if kind in advice else None
            expect(named == expected, f"{kind}: expected {expected}, got {named}")
        expect("queued_mail" in advice, f"{sorted(advice)}")
        expect(MAIL in advice["use_shared_name"]["text"], f"{advice['use_shared_name']}")
        printed = " ".join(done.stdout.split())
        for address in mismatched:
            expect(address.rpartition(":")[0] in printed, f"{address} is not printed")
        missing = [each["text"] for each in found["advice"] if " ".join(each["text"].split()) not in printed]
        expect(not missing, f"in the JSON but not in the text: {missing}")

    def exports(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            self._check(f"{SMTP}:{IMPLICIT}", f"--export={folder}")
            files = sorted(Path(folder).iterdir())
            expect(len(files) == len(self._servers.smtp), f"{files}")
            for host in self._servers.smtp:
                file = next(file for file in files if host.address in file.name)
                output = run(["openssl", "x509", "-in", str(file), "-noout", "-fingerprint", "-sha256"])
                fingerprint = output.strip().rpartition("=")[2].replace(":", "").lower()
                expect(fingerprint == host.certificate.fingerprint, f"{file.name}: {fingerprint}")
                chain = re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", file.read_text(), re.S)
                leaf = hashlib.sha256(ssl.PEM_cert_to_DER_cert(chain[0])).hexdigest()
                expect(leaf == fingerprint and len(chain) == 2, f"{file.name}: {len(chain)} certificates")
            again = self._check(f"{SMTP}:{IMPLICIT}", f"--export={folder}")
            expect(again.returncode == USAGE_ERROR and "--force" in again.stderr, f"{again.returncode}: {again.stderr}")

    def probes_without_config(self) -> None:
        host = self._servers.renewed
        done = self._check_address(host, "--output=json")
        expect(done.returncode == PROBLEMS_FOUND, f"exit code {done.returncode}: {done.stderr}")
        [target] = json.loads(done.stdout)["targets"]
        [backend] = target["endpoints"][0]["backends"]
        seen = (backend["name"]["match"], backend["chain"]["valid"], backend["certificate"]["fingerprint_sha256"])
        expect(seen == (False, True, host.certificate.fingerprint), f"{seen}")

    def exits_with_0(self) -> None:
        done = self._check_address(self._servers.valid)
        expect(done.returncode == OK, f"exit code {done.returncode}: {done.stdout}{done.stderr}")

    def _backends(self) -> dict[str, Any]:
        """The backends of all targets, by address and port."""
        done = self._check("--output=json")
        expect(done.returncode == PROBLEMS_FOUND, f"exit code {done.returncode}: {done.stderr}")
        endpoints = [endpoint for target in json.loads(done.stdout)["targets"] for endpoint in target["endpoints"]]
        return {backend["backend"]: backend for endpoint in endpoints for backend in endpoint["backends"]}

    def _check(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._run(f"--config.file={self._servers.exporter.config}", *arguments)

    def _check_address(self, host: Host, *arguments: str) -> subprocess.CompletedProcess[str]:
        trust = ("--no-system-roots", f"--ca-file={self._servers.ca.root}")
        return self._run(f"{host.address}:{STARTTLS}", f"--name={SMTP}", *trust, *arguments)

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(self._exporter), "check", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    def _testssl(self, tested: Listening) -> dict[str, str]:
        """The findings of testssl.sh by their ids."""
        with tempfile.TemporaryDirectory() as folder:
            findings = Path(folder) / "findings.json"
            command = ["testssl", "--quiet", "--color", "0", "--warnings", "off", "-n", "none", "-S"]
            command += ["--add-ca", str(self._servers.ca.root), "--jsonfile", str(findings)]
            command += [f"--ip={tested.host.address}"]
            if tested.port != IMPLICIT:
                command += ["--starttls", "smtp"]
            command.append(f"{tested.server_name}:{tested.port}")
            subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=180)
            return {each["id"].split(" ")[0]: each["finding"] for each in json.loads(findings.read_text())}


def _sections(text: str) -> dict[str, list[str]]:
    """The lines of the text output by section; those above the first heading are under an empty name."""
    sections: dict[str, list[str]] = {"": []}
    name = ""
    for line in text.splitlines():
        if heading := SECTION.match(line):
            name = heading[1]
        sections.setdefault(name, []).append(line)
    return sections
