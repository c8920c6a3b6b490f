"""The servers in the container: a name server, a mail server, and a server that never answers."""

from __future__ import annotations

import socket
import socketserver
import ssl
import struct
import subprocess
import threading
from ipaddress import ip_address
from pathlib import Path

NAME_SERVER = "127.0.0.53"
MAIL_HOST = "smtp.example.com"
MAIL_ADDRESSES = ("127.0.0.25", "::1")
MAIL_PORT = 465
SILENT = ("127.0.0.26", 25)
REFUSED = ("127.0.0.27", 25)


# The folder with the key and the certificate of the mail server.
FILES = Path("/tmp")


def start() -> None:
    """Starts all servers; they run until this process exits."""
    serve(UdpServer((NAME_SERVER, 53), NameServer))
    context = certificate()
    for address in MAIL_ADDRESSES:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        server = type("MailServer", (TcpServer,), {"address_family": family})((address, MAIL_PORT), MailSession)
        server.tls = context
        serve(server)
    serve(TcpServer(SILENT, Silent))


class UdpServer(socketserver.ThreadingUDPServer):
    daemon_threads = True


class TcpServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


def serve(server: socketserver.BaseServer) -> None:
    threading.Thread(target=server.serve_forever, daemon=True).start()


class NameServer(socketserver.BaseRequestHandler):
    """Resolves one name; NXDOMAIN for all others (RFC 1035 §4.1)."""

    def handle(self) -> None:
        query, channel = self.request
        labels, offset = [], 12
        while length := query[offset]:
            labels.append(query[offset + 1 : offset + 1 + length].decode().lower())
            offset += 1 + length
        question = query[12 : offset + 5]
        (kind,) = struct.unpack("!H", question[-4:-2])
        known = ".".join(labels) == MAIL_HOST
        version = {1: 4, 28: 6}.get(kind)
        addresses = [ip.packed for ip in map(ip_address, MAIL_ADDRESSES) if known and ip.version == version]
        flags = 0x8580 if known else 0x8583
        answer = query[:2] + struct.pack("!HHHHH", flags, 1, len(addresses), 0, 0) + question
        for address in addresses:
            answer += struct.pack("!HHHIH", 0xC00C, kind, 1, 60, len(address)) + address
        channel.sendto(answer, self.client_address)


class MailSession(socketserver.BaseRequestHandler):
    """SMTP over implicit TLS, as much as a probe needs."""

    def handle(self) -> None:
        try:
            with self.server.tls.wrap_socket(self.request, server_side=True) as session:
                session.sendall(f"220 {MAIL_HOST} ESMTP\r\n".encode())
                for line in session.makefile("rb"):
                    if line.upper().startswith(b"QUIT"):
                        session.sendall(b"221 2.0.0 Bye\r\n")
                        return
                    session.sendall(b"250 2.0.0 Ok\r\n")
        except OSError:
            # The client has disconnected; the exporter reports that itself.
            pass


class Silent(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.recv(1)


def certificate() -> ssl.SSLContext:
    """A self-signed certificate for the mail host."""
    key, cert = FILES / "key.pem", FILES / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]
        + ["-subj", f"/CN={MAIL_HOST}", "-addext", f"subjectAltName=DNS:{MAIL_HOST}", "-keyout", key, "-out", cert],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context
