"""Tries, in the exporter's place, what it must not be able to do and what it must; prints what was otherwise."""

from __future__ import annotations

import ctypes
import mmap
import os
import socket
from collections.abc import Callable
from pathlib import Path


def write(folder: str) -> Callable[[], object]:
    return lambda: Path(folder, "written").write_text("")


def libc(name: str, *arguments: object) -> Callable[[], object]:
    def call() -> None:
        if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) == -1:
            raise OSError(ctypes.get_errno(), name)

    return call


def connect(family: socket.AddressFamily, address: tuple[object, ...]) -> Callable[[], object]:
    return lambda: socket.socket(family, socket.SOCK_DGRAM).connect(address)


def other_processes() -> None:
    """Raises where none are seen."""
    if not any(entry.isdigit() and int(entry) != os.getpid() for entry in os.listdir("/proc")):
        raise ProcessLookupError


CLONE_NEWUSER = 0x10000000

REFUSED: dict[str, Callable[[], object]] = {
    **{
        f"writing to {folder}": write(folder)
        for folder in ("/", "/etc", "/etc/smtp-tls-exporter", "/usr/bin", "/var/lib", "/var/log", "/run", "/run/lock")
        + ("/srv", "/dev", "/home", "/root", "/proc/sys/kernel", "/sys/fs/cgroup")
    },
    "reading what anyone may in /home": lambda: os.stat("/home/file"),
    "reading /root": lambda: os.listdir("/root"),
    "reading /etc/shadow": lambda: Path("/etc/shadow").read_bytes(),
    "seeing what others have in /tmp": lambda: os.stat("/tmp/key.pem"),
    "reading the kernel's log": lambda: os.open("/dev/kmsg", os.O_RDONLY),
    "seeing other processes": other_processes,
    "a raw socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
    "a packet socket": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM),
    "a netlink socket": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "a Unix socket": lambda: socket.socket(socket.AF_UNIX),
    "memory that is written and run": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC),
    "a namespace": libc("unshare", CLONE_NEWUSER),
    "becoming root": libc("setuid", 0),
    "changing root": libc("chroot", b"/tmp"),
    "renaming the machine": libc("sethostname", b"other", 5),
    "a port below 1024": lambda: socket.socket().bind(("127.0.0.1", 1023)),
}

ALLOWED: dict[str, Callable[[], object]] = {
    "reading the config": lambda: Path("/etc/smtp-tls-exporter/config.yaml").read_bytes(),
    "reading the name servers": lambda: Path("/etc/resolv.conf").read_bytes(),
    "reading the system's roots": lambda: Path("/etc/ssl/certs/ca-certificates.crt").read_bytes(),
    "asking for a route of IPv4": connect(socket.AF_INET, ("127.0.0.1", 9)),
    "asking for a route of IPv6": connect(socket.AF_INET6, ("::1", 9)),
    "looking up localhost": lambda: socket.getaddrinfo("localhost", 10465),
}


def main() -> None:
    for what, attempt in REFUSED.items():
        try:
            attempt()
        except OSError:
            continue
        print(f"not refused: {what}")
    for what, attempt in ALLOWED.items():
        try:
            attempt()
        except OSError as error:
            print(f"refused: {what}: {error}")
    if os.getuid() == 0:
        print("runs as root")


main()
