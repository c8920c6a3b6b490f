"""Three opinions on every case of the fleet's table: what it says must be concluded, what `smtp-tls-exporter verify`
concludes, and what the openssl command does. Where the last differs the table must say so and why; and where it says
so, the last must differ."""

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

from .servers_checks import Step, expect
from .process import SceneError, run

# Enough that a folder of three files is not taken for the table.
FEWEST_CASES = 80

VERDICTS = {None: "cannot be parsed", True: "accepted", False: "rejected"}

PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n?", re.DOTALL)


@dataclass(frozen=True)
class Case:
    folder: Path
    name: str
    server_name: str
    expected: dict[str, Any]
    openssl: dict[str, Any]
    """By `chain` and `name`: whether it agrees, if not why, and whether one of the two cannot parse."""

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
    wanted: object
    saw: object


class Table:
    def __init__(self, exporter: Path, home: Path) -> None:
        self._exporter = exporter
        self._home = home
        self.cases: list[Case] = []

    def write(self) -> None:
        run([*_command(), self._home], timeout=900)
        self.cases = [_read(file) for file in sorted(self._home.glob("*/case.json"))]
        if len(self.cases) < FEWEST_CASES:
            raise SceneError(f"only {len(self.cases)} cases")

    def steps(self) -> Iterator[Step]:
        yield "differential: `verify` concludes what the table says", self._check(self._ask_exporter)
        yield (
            "differential: `openssl verify` agrees on every chain, but where the table says why not",
            self._check(_ask_openssl_of_chain),
        )
        yield (
            "differential: openssl agrees on every name, but where the table says why not",
            self._check(_ask_openssl_of_name),
        )

    def _check(self, ask: Callable[[Case], list[Difference]]) -> Callable[[], None]:
        def compare() -> None:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                found = [difference for each in pool.map(ask, self.cases) for difference in each]
            expect(not found, f"{len(found)} differences in {len(self.cases)} cases{_show(found)}")

        return compare

    def _ask_exporter(self, case: Case) -> list[Difference]:
        command: list[str | Path] = [self._exporter, "verify", "--host", case.server_name, "--output=json"]
        done = _call([*command, "--no-system-roots", "--ca-file", case.roots, case.chain])
        try:
            answer = json.loads(done.stdout)
            (name,) = answer["names"]
            chain = answer["chain"]
            saw = {
                "match": name["match"],
                "name reason": name["reason"],
                "trusted": chain["trusted"],
                "valid": chain["valid"],
                "errors": sorted(error["reason"] for error in chain["errors"]),
                "exit": done.returncode,
            }
        except (ValueError, KeyError, TypeError) as error:
            said = (done.stderr or done.stdout).strip()[-300:]
            return [Difference(case.name, "answer", "JSON", f"exit {done.returncode}, {type(error).__name__}: {said}")]
        wanted = _wanted_of_file(case)
        return [Difference(case.name, key, wanted[key], saw[key]) for key in wanted if saw[key] != wanted[key]]


def _command() -> list[str | Path]:
    """What writes the table to a folder."""
    if binary := os.environ.get("CASES_BIN"):
        return [Path(binary).resolve()]
    manifest = Path(__file__).resolve().parents[3] / "Cargo.toml"
    return ["cargo", "run", "-q", "--locked", "--manifest-path", manifest, "-p", "smtp-fleet", "--bin", "cases", "--"]


def _read(file: Path) -> Case:
    case = json.loads(file.read_text())
    return Case(file.parent, case["name"], case["server_name"], case["expected"], case["openssl"])


def _wanted_of_file(case: Case) -> dict[str, Any]:
    """What can be concluded from a file alone: it shows no handshake, and no other server of the fleet."""
    expected = case.expected
    in_file = {"missing_intermediate": "unknown_issuer", "key_proof_failed": None}
    errors = [in_file.get(error, error) for error in expected["errors"]]
    errors = sorted({error for error in errors if error})
    match = None if expected["name"] is None else expected["name"] == "match"
    wanted = {
        "match": match,
        "name reason": None if match or match is None else expected["name"],
        "trusted": expected["trusted"],
        "valid": expected["valid"],
        "errors": errors,
    }
    if "key_proof_failed" in expected["errors"]:
        # Without it, the rest decides; whether that is merely time is not told here.
        del wanted["trusted"]
        wanted["valid"] = not errors
    wanted["exit"] = 0 if wanted["valid"] and match else 1
    return wanted


def _ask_openssl_of_chain(case: Case) -> list[Difference]:
    return _compare(case, "chain", _openssl_verify(case), bool(case.expected["valid"]))


def _ask_openssl_of_name(case: Case) -> list[Difference]:
    is_address = _is_address(case.server_name)
    accepts = None
    if _openssl_verify(case):
        accepts = _openssl_verify(case, "-verify_ip" if is_address else "-verify_hostname", case.server_name)
    else:
        # A chain that fails hides the name.
        leaf, _ = _split(case)
        option = "-checkip" if is_address else "-checkhost"
        said = _call(["openssl", "x509", "-noout", "-in", leaf, option, case.server_name]).stdout
        if found := re.search(r"does (NOT )?match certificate", said):
            accepts = found[1] is None
    return _compare(case, "name", accepts, case.expected["name"] == "match")


def _compare(case: Case, what: str, accepts: bool | None, expected: bool) -> list[Difference]:
    """`accepts` is OpenSSL's, None where it cannot parse."""
    listed = case.openssl[what]
    saw = f"{VERDICTS[accepts]} by openssl"
    wanted = None
    if listed["unparsed"]:
        if accepts is not None and "malformed" not in case.expected["errors"]:
            wanted = "cannot be parsed by one of the two"
    elif listed["agrees"]:
        if accepts is not expected:
            wanted = f"{VERDICTS[expected]}, or a reason in the table"
    elif not listed["why"]:
        wanted = "a reason in the table"
    elif accepts is expected:
        wanted = f"a difference, as the table says: {listed['why']}"
    elif accepts is None:
        wanted = "listed as what cannot be parsed"
    return [Difference(case.name, what, wanted, saw)] if wanted else []


def _openssl_verify(case: Case, *options: str) -> bool | None:
    """Whether it accepts; None where it cannot read what it is given."""
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
    return subprocess.run([str(part) for part in argv], capture_output=True, text=True, timeout=60)


def _show(differences: Sequence[Difference]) -> str:
    rows = [("case", "what", "wanted", "saw")]
    rows += [(each.case, each.what, str(each.wanted), str(each.saw)) for each in differences]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "".join(
        "\n#   " + "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths)), row[3]]) for row in rows
    )
