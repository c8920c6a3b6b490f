"""What `check` tells whoever has a mail that failed, against what `openssl s_client` and testssl.sh say of the same
servers."""

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
from .servers_checks import Step, expect
from .process import run
from .servers import EXIM, IMPLICIT, MAIL, SMTP, STARTTLS, Host, Street

FOUND = 1


def steps(street: Street, exporter: Path) -> Iterator[Step]:
    keyboard = Keyboard(street, exporter)
    yield "check: exits with 1, and s_client says the same of every backend", keyboard.agrees_with_openssl
    yield "check: testssl.sh sees the same certificates, names and dates", keyboard.agrees_with_testssl
    yield "check: the table says which backends lack the name, and which name all have", keyboard.tells
    yield "check: what is exported is what the servers present", keyboard.exports
    yield "check: a target of no config, by address and name", keyboard.goes_without_config
    yield "check: where all is well it exits with 0", keyboard.is_content


@dataclass(frozen=True)
class Listening:
    host: Host
    port: int
    server_name: str

    @property
    def backend(self) -> str:
        return f"{self.host.address}:{self.port}"


class Keyboard:
    def __init__(self, street: Street, exporter: Path) -> None:
        self._street = street
        self._exporter = exporter
        self._listening = [Listening(*each) for each in street.listeners()]

    def agrees_with_openssl(self) -> None:
        backends = self._found()
        expect(backends.keys() == {each.backend for each in self._listening}, f"{sorted(backends)}")
        for each in self._listening:
            seen = backends[each.backend]
            opinion = openssl.ask(
                each.host.address, each.port, each.port == IMPLICIT, each.server_name, self._street.authority.root
            )
            verdict = openssl.OK
            if not seen["chain"]["valid"]:
                verdict = openssl.CERT_HAS_EXPIRED
            elif not seen["name"]["match"]:
                verdict = openssl.HOSTNAME_MISMATCH
            ours = openssl.Opinion(seen["certificate"]["fingerprint_sha256"], verdict)
            expect(ours == opinion, f"{each.backend}: {ours}, s_client says {opinion}")

    def agrees_with_testssl(self) -> None:
        street = self._street
        asked = [
            Listening(street.steady, STARTTLS, SMTP),
            Listening(street.renewed, STARTTLS, SMTP),
            Listening(street.expired, IMPLICIT, SMTP),
            Listening(street.exim_unnamed, STARTTLS, EXIM),
        ]
        backends = self._found()
        with ThreadPoolExecutor(max_workers=2) as pool:
            for each, theirs in zip(asked, pool.map(self._testssl, asked), strict=True):
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
                said = {
                    "cert_fingerprintSHA256": theirs["cert_fingerprintSHA256"].lower(),
                    "cert_fingerprintSHA1": theirs["cert_fingerprintSHA1"].lower(),
                    "cert_subjectAltName": set(theirs["cert_subjectAltName"].split()),
                    "cert_notAfter": theirs["cert_notAfter"],
                    "expired": theirs["cert_expirationStatus"] == "expired",
                    "cert_trust": theirs["cert_trust"].lower().startswith("ok"),
                }
                expect(ours == said, f"{each.backend}: {ours}, testssl.sh says {said}")

    def tells(self) -> None:
        street = self._street
        told = self._check(f"{SMTP}:{STARTTLS}")
        expect(told.returncode == FOUND, f"exit code {told.returncode}: {told.stderr}")
        flat = re.sub(r"\s+", " ", told.stdout)
        for host in (street.renewed, street.retired):
            expect(host.address in flat, f"{host.address} is not named")
        # Texts to be sent, with their commands, are not wrapped.
        findings = re.sub(r"\n  WHAT TO DO\n.*?\nWHAT OTHERS SAY\n", "\n", told.stdout, flags=re.DOTALL)
        expect(findings != told.stdout, "nothing is said of what to do")
        expect(max(map(len, findings.splitlines())) <= 80, "a line of over 80 columns")
        expect(MAIL in flat and "queued" in flat, "no way out")
        _, advice = self._advice(f"{SMTP}:{STARTTLS}")
        named = {kind: {each["backend"] for each in backends} for kind, backends, _ in advice}
        lacking = {f"{host.address}:{STARTTLS}" for host in (street.renewed, street.retired)}
        expect(named.get("reissue") == lacking, f"{named}")
        expect(named.get("expired") == {f"{street.expired.address}:{STARTTLS}"}, f"{named}")
        texts = [text for kind, _, text in advice if kind == "use_shared_name"]
        expect(len(texts) == 1 and MAIL in texts[0] and "all 5" in texts[0], f"{texts}")
        expect(all(re.sub(r"\s+", " ", text) in flat for _, _, text in advice), "the table says other things than the JSON")

    def exports(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            self._check(f"{SMTP}:{IMPLICIT}", f"--export={folder}")
            files = sorted(Path(folder).iterdir())
            expect(len(files) == len(self._street.smtp), f"{files}")
            for host in self._street.smtp:
                file = next(file for file in files if host.address in file.name)
                subject = run(["openssl", "x509", "-in", str(file), "-noout", "-fingerprint", "-sha256"])
                fingerprint = subject.strip().rpartition("=")[2].replace(":", "").lower()
                expect(fingerprint == host.certificate.fingerprint, f"{file.name}: {fingerprint}")
                chain = re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", file.read_text(), re.S)
                leaf = hashlib.sha256(ssl.PEM_cert_to_DER_cert(chain[0])).hexdigest()
                expect(leaf == fingerprint and len(chain) == 2, f"{file.name}: {len(chain)} certificates")
            again = self._check(f"{SMTP}:{IMPLICIT}", f"--export={folder}")
            expect(again.returncode == 2 and "--force" in again.stderr, f"{again.returncode}: {again.stderr}")

    def goes_without_config(self) -> None:
        street = self._street
        told = self._run(
            f"{street.renewed.address}:{STARTTLS}",
            f"--name={SMTP}",
            f"--ca-file={street.authority.root}",
            "--no-system-roots",
            "--output=json",
        )
        expect(told.returncode == FOUND, f"exit code {told.returncode}: {told.stderr}")
        [target] = json.loads(told.stdout)["targets"]
        [backend] = target["endpoints"][0]["backends"]
        seen = (backend["name"]["match"], backend["chain"]["valid"], backend["certificate"]["fingerprint_sha256"])
        expect(seen == (False, True, street.renewed.certificate.fingerprint), f"{seen}")

    def is_content(self) -> None:
        street = self._street
        told = self._run(
            f"{street.steady.address}:{STARTTLS}",
            f"--name={SMTP}",
            f"--ca-file={street.authority.root}",
            "--no-system-roots",
        )
        expect(told.returncode == 0, f"exit code {told.returncode}: {told.stdout}{told.stderr}")

    def _found(self) -> dict[str, Any]:
        """The backends of all targets, by address and port."""
        told = self._check("--output=json")
        expect(told.returncode == FOUND, f"exit code {told.returncode}: {told.stderr}")
        endpoints = [endpoint for target in json.loads(told.stdout)["targets"] for endpoint in target["endpoints"]]
        return {backend["backend"]: backend for endpoint in endpoints for backend in endpoint["backends"]}

    def _advice(self, target: str) -> tuple[str, list[tuple[str, list[dict[str, str]], str]]]:
        told = self._check(target, "--output=json")
        [found] = json.loads(told.stdout)["targets"]
        return found["state"], [(each["kind"], each["backends"], each["text"]) for each in found["advice"]]

    def _check(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._run(f"--config.file={self._street.exporter.config}", *arguments)

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(self._exporter), "check", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    def _testssl(self, asked: Listening) -> dict[str, str]:
        """Its findings by their names."""
        with tempfile.TemporaryDirectory() as folder:
            findings = Path(folder) / "findings.json"
            command = ["testssl", "--quiet", "--color", "0", "--warnings", "off", "-n", "none", "-S"]
            command += ["--add-ca", str(self._street.authority.root), "--jsonfile", str(findings)]
            command += [f"--ip={asked.host.address}"]
            if asked.port != IMPLICIT:
                command += ["--starttls", "smtp"]
            command.append(f"{asked.server_name}:{asked.port}")
            subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=180)
            return {each["id"].split(" ")[0]: each["finding"] for each in json.loads(findings.read_text())}
