"""Runs in place of the exporter, with the sandbox of its unit: tries operations that must be refused and operations
that must be allowed, and prints those with the other outcome."""

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
    """Raises if no other process is visible."""
    if not any(entry.isdigit() and int(entry) != os.getpid() for entry in os.listdir("/proc")):
        raise ProcessLookupError


CLONE_NEWUSER = 0x10000000

REFUSED: dict[str, Callable[[], object]] = {
    **{
        f"writing to {folder}": write(folder)
        for folder in ("/", "/etc", "/etc/smtp-tls-exporter", "/usr/bin", "/var/lib", "/var/log", "/run", "/run/lock")
        + ("/srv", "/dev", "/home", "/root", "/proc/sys/kernel", "/sys/fs/cgroup")
    },
    "reading a world-readable file in /home": lambda: os.stat("/home/file"),
    "reading /root": lambda: os.listdir("/root"),
    "reading /etc/shadow": lambda: Path("/etc/shadow").read_bytes(),
    "seeing files of other services in /tmp": lambda: os.stat("/tmp/key.pem"),
    "reading the kernel log": lambda: os.open("/dev/kmsg", os.O_RDONLY),
    "seeing other processes": other_processes,
    "a raw socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
    "a packet socket": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM),
    "a netlink socket": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "memory that is writable and executable": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC),
    "creating a namespace": libc("unshare", CLONE_NEWUSER),
    "becoming root": libc("setuid", 0),
    "chroot": libc("chroot", b"/tmp"),
    "changing the hostname": libc("sethostname", b"other", 5),
    "binding a port below 1024": lambda: socket.socket().bind(("127.0.0.1", 1023)),
}

ALLOWED: dict[str, Callable[[], object]] = {
    "reading the config": lambda: Path("/etc/smtp-tls-exporter/config.yaml").read_bytes(),
    "reading resolv.conf": lambda: Path("/etc/resolv.conf").read_bytes(),
    "reading the system root certificates": lambda: Path("/etc/ssl/certs/ca-certificates.crt").read_bytes(),
    "finding an IPv4 route": connect(socket.AF_INET, ("127.0.0.1", 9)),
    "finding an IPv6 route": connect(socket.AF_INET6, ("::1", 9)),
    "notifying systemd": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).connect("/run/systemd/notify"),
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
