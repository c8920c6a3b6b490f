"""The verdicts on every case of the fleet's table: the expected one in the table, the one of `smtp-tls-exporter verify`, and
what OpenSSL, GnuTLS and Go do when a server presents the case. Where they differ from the verdict, the table must say so, and
where the table says so, they must differ. On names, openssl alone is compared."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .checks import Step, expect
from .process import FixtureError

# Guards against an incomplete table.
MIN_CASES = 80

VERDICTS = {None: "cannot be parsed", True: "accepted", False: "rejected"}

PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n?", re.DOTALL)


@dataclass(frozen=True)
class Case:
    folder: Path
    name: str
    server_name: str
    expected: dict[str, Any]
    openssl_name: dict[str, Any]
    """Whether openssl agrees on the name, the reason if not, and whether one of the two fails to parse."""
    senders: dict[str, dict[str, Any]]
    """By sender: whether it accepts the chain, and since which version of Go 1, if that has changed."""
    address: tuple[str, str]
    """Host and port of the server that presents the case."""

    @property
    def chain(self) -> Path:
        return self.folder / "chain.pem"

    @property
    def roots(self) -> Path:
        return self.folder / "roots.pem"


@dataclass(frozen=True)
class Difference:
    case: str
    what: str
    expected: object
    seen: object


class Table:
    def __init__(self, exporter: Path, home: Path) -> None:
        self._exporter = exporter
        self._home = home
        self._server: subprocess.Popen[str] | None = None
        self.cases: list[Case] = []

    def write(self) -> None:
        command = [str(part) for part in [*_command(), "--serve", self._home]]
        self._server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._server.stdout is not None
        # All chains are written and served when it prints this line.
        if not self._server.stdout.readline().startswith("serving "):
            raise FixtureError(f"{command[0]} does not serve the cases")
        self.cases = [_read(file) for file in sorted(self._home.glob("*/case.json"))]
        if len(self.cases) < MIN_CASES:
            raise FixtureError(f"only {len(self.cases)} cases")

    def close(self) -> None:
        if self._server is not None:
            self._server.communicate(timeout=10)

    def steps(self) -> Iterator[Step]:
        yield "differential: `verify` gives the verdicts of the table", self._check(self._compare_exporter)
        for name, accepts in (("openssl", _openssl_accepts), ("gnutls", _gnutls_accepts)):
            yield (
                f"differential: {name} accepts what the table says",
                self._check(lambda case, name=name, accepts=accepts: _compare_sender(case, name, accepts(case))),
            )
        yield "differential: go accepts what the table says", self._compare_go
        yield (
            "differential: openssl agrees on every name, except where the table gives a reason",
            self._check(_compare_openssl_name),
        )

    def _compare_go(self) -> None:
        version, accepted = _go_accepts(self._home)
        found = [each for case in self.cases for each in _compare_sender(case, "go", accepted[case.name], version)]
        expect(not found, f"{len(found)} differences in {len(self.cases)} cases{_table(found)}")

    def _check(self, compare: Callable[[Case], list[Difference]]) -> Callable[[], None]:
        def check() -> None:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                found = [difference for each in pool.map(compare, self.cases) for difference in each]
            expect(not found, f"{len(found)} differences in {len(self.cases)} cases{_table(found)}")

        return check

    def _compare_exporter(self, case: Case) -> list[Difference]:
        command: list[str | Path] = [self._exporter, "verify", "--host", case.server_name, "--output=json"]
        done = _call([*command, "--no-system-roots", "--ca-file", case.roots, case.chain])
        try:
            answer = json.loads(done.stdout)
            (name,) = answer["names"]
            chain = answer["chain"]
            seen = {
                "match": name["match"],
                "name reason": name["reason"],
                "trusted": chain["trusted"],
                "valid": chain["valid"],
                "errors": sorted(error["reason"] for error in chain["errors"]),
                "warnings": [warning["reason"] for warning in chain["warnings"]],
                "exit": done.returncode,
            }
        except (ValueError, KeyError, TypeError) as error:
            output = (done.stderr or done.stdout).strip()[-300:]
            answer = f"exit {done.returncode}, {type(error).__name__}: {output}"
            return [Difference(case.name, "answer", "JSON", answer)]
        expected = _expected_of_file(case).items()
        return [Difference(case.name, key, value, seen[key]) for key, value in expected if seen[key] != value]


def _command() -> list[str | Path]:
    """The command that writes the table to a folder."""
    if binary := os.environ.get("CASES_BIN"):
        return [Path(binary).resolve()]
    manifest = Path(__file__).resolve().parents[3] / "Cargo.toml"
    return ["cargo", "run", "-q", "--locked", "--manifest-path", manifest, "-p", "smtp-fleet", "--bin", "cases", "--"]


def _read(file: Path) -> Case:
    case = json.loads(file.read_text())
    host, port = (file.parent / "address").read_text().rsplit(":", 1)
    case.update(folder=file.parent, address=(host, port))
    return Case(**case)


def _expected_of_file(case: Case) -> dict[str, Any]:
    """The verdict on a file alone: without a handshake, and without intermediates of other servers."""
    table = case.expected
    in_file = {"missing_intermediate": "unknown_issuer", "key_proof_failed": None}
    errors = [in_file.get(error, error) for error in table["errors"]]
    errors = sorted({error for error in errors if error})
    match = None if table["name"] is None else table["name"] == "match"
    expected = {
        "match": match,
        "name reason": None if match or match is None else table["name"],
        "trusted": table["trusted"],
        "valid": table["valid"],
        "errors": errors,
        "warnings": table["warnings"],
    }
    if "key_proof_failed" in table["errors"]:
        # Without that error the others decide. The table does not say whether the chain is trusted then.
        del expected["trusted"]
        expected["valid"] = not errors
    expected["exit"] = 0 if expected["valid"] and match else 1
    return expected


def _compare_sender(case: Case, name: str, accepts: bool, version: int = 0) -> list[Difference]:
    """`version` is the minor version of Go 1."""
    listed = case.senders[name]
    expected = listed["accepts"]
    if listed["since"] is not None and version < listed["since"]:
        expected = not expected
    if accepts is expected:
        return []
    return [Difference(case.name, name, VERDICTS[expected], VERDICTS[accepts])]


def _openssl_accepts(case: Case) -> bool:
    command: list[str | Path] = ["openssl", "s_client", "-connect", ":".join(case.address), "-CAfile", case.roots]
    command += ["-no-CApath", "-no-CAstore", "-verify_return_error", "-purpose", "sslserver", "-auth_level", "2"]
    return _call(command).returncode == 0


def _gnutls_accepts(case: Case) -> bool:
    host, port = case.address
    command: list[str | Path] = ["gnutls-cli", "--x509cafile", case.roots, "--verify-hostname", case.server_name]
    output = _call([*command, "--port", port, host]).stdout
    if "Handshake was completed" in output:
        return True
    # The name is compared after the chain.
    status = re.search(r"- Status: (.*)", output)
    other = "The certificate is NOT trusted. The name in the certificate does not match the expected."
    return status is not None and status[1].strip() == other


def _go_accepts(home: Path) -> tuple[int, dict[str, bool]]:
    """The minor version of Go 1, and whether it accepts each case."""
    # The cache is in the home directory by default.
    env = {**os.environ, "GO111MODULE": "off", "GOCACHE": str(home / "go-cache"), "GOTOOLCHAIN": "local"}
    # Programs outside of a module have the defaults of an old version.
    env["GODEBUG"] = "x509negativeserial=0"
    program = Path(__file__).with_name("accepts.go")
    done = subprocess.run(
        ["go", "run", program, home], capture_output=True, text=True, timeout=300, env=env, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        raise FixtureError(f"go: {done.stderr.strip()[-300:]}")
    answer = json.loads(done.stdout)
    return int(answer["version"].split(".")[1]), answer["accepts"]


def _compare_openssl_name(case: Case) -> list[Difference]:
    is_address = _is_address(case.server_name)
    accepts = None
    if _openssl_verify(case):
        accepts = _openssl_verify(case, "-verify_ip" if is_address else "-verify_hostname", case.server_name)
    else:
        # `openssl verify` does not check the name of a chain that fails.
        leaf, _ = _split(case)
        option = "-checkip" if is_address else "-checkhost"
        output = _call(["openssl", "x509", "-noout", "-in", leaf, option, case.server_name]).stdout
        if found := re.search(r"does (NOT )?match certificate", output):
            accepts = found[1] is None
    return _compare_name(case, accepts, case.expected["name"] == "match")


def _compare_name(case: Case, accepts: bool | None, expected: bool) -> list[Difference]:
    """`accepts` is the verdict of openssl, None if it cannot parse."""
    listed = case.openssl_name
    seen = f"{VERDICTS[accepts]} by openssl"
    problem = None
    if listed["unparsed"]:
        if accepts is not None and "malformed" not in case.expected["errors"]:
            problem = "cannot be parsed by one of the two"
    elif listed["agrees"]:
        if accepts is not expected:
            problem = f"{VERDICTS[expected]}, or a reason in the table"
    elif not listed["why"]:
        problem = "a reason in the table"
    elif accepts is expected:
        problem = f"a difference, because the table gives a reason: {listed['why']}"
    elif accepts is None:
        problem = "listed as unparsed"
    return [Difference(case.name, "name", problem, seen)] if problem else []


def _openssl_verify(case: Case, *options: str) -> bool | None:
    """Whether `openssl verify` accepts the chain; None if it cannot parse a file."""
    leaf, rest = _split(case)
    command: list[str | Path] = ["openssl", "verify", "-no-CApath", "-no-CAstore", "-CAfile", case.roots]
    command += ["-purpose", "sslserver", "-auth_level", "2", *options]
    if rest.stat().st_size:
        command += ["-untrusted", rest]
    done = _call([*command, leaf])
    if done.returncode == 0:
        return True
    return False if re.search(r"error \d+ at \d+ depth lookup", done.stdout + done.stderr) else None


def _split(case: Case) -> tuple[Path, Path]:
    leaf, rest = case.folder / "leaf.pem", case.folder / "rest.pem"
    if not rest.exists():
        first, *others = PEM.findall(case.chain.read_text())
        leaf.write_text(first)
        rest.write_text("".join(others))
    return leaf, rest


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _call(argv: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    command = [str(part) for part in argv]
    return subprocess.run(
        command, capture_output=True, text=True, errors="replace", timeout=60, stdin=subprocess.DEVNULL
    )


def _table(differences: Sequence[Difference]) -> str:
    rows = [("case", "what", "expected", "got")]
    rows += [(each.case, each.what, str(each.expected), str(each.seen)) for each in differences]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "".join(
        "\n#   " + "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths)), row[3]]) for row in rows
    )
