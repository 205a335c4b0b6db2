"""The question by which a restarted agent counts as back, in a real engine: any answer of the web API will do, over http or https."""

from __future__ import annotations

import datetime
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml
from harness import EngineMissing, posix_engine

pytestmark = pytest.mark.powershell
ROLE = Path(__file__).resolve().parents[2] / "roles" / "reboot"
COMMAND: str = yaml.safe_load((ROLE / "vars" / "main.yml").read_text("utf-8"))["dataminer_reboot_question"]
AS_SENT = "; If (-not $?) { exit 1 }"  # win_reboot puts its own end behind it


@contextmanager
def web_server(status: int, certificate: Path | None = None) -> Iterator[tuple[int, list[str]]]:
    """The port of a server that answers everything with a status, over TLS where it has a certificate, and what it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.send_header("Location", "http://127.0.0.1:1/")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Says nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield server.server_port, asked
    server.shutdown()
    server.server_close()


def ask(folder: Path, port: int) -> subprocess.CompletedProcess[str]:
    try:
        engine = posix_engine()
    except EngineMissing as error:
        pytest.skip(f"lane powershell: {error}")
    script = folder / "question.ps1"
    script.write_text(COMMAND.replace("localhost", f"127.0.0.1:{port}") + AS_SENT, "utf-8")
    argv = [*engine, "-NoProfile", "-NonInteractive", "-File", str(script)]
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """One that nobody trusts, for another name."""
    pytest.importorskip("cryptography", reason="no certificate: the library cryptography is missing")
    from cryptography import x509  # noqa: PLC0415 - the library is optional
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "dma.example")])
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1)).sign(key, hashes.SHA256())
    path = tmp_path / "server.pem"
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.mark.parametrize("status", [200, 301, 401, 500])
def test_any_answer_means_that_it_is_up(tmp_path: Path, status: int) -> None:
    with web_server(status) as (port, asked):
        done = ask(tmp_path, port)
    assert done.returncode == 0, done.stdout + done.stderr
    assert asked == ["/API/v1/Json.asmx/GetDataMinerAPIVersion"]


def test_https_only_with_a_certificate_that_nobody_trusts(tmp_path: Path, certificate: Path) -> None:
    with web_server(200, certificate) as (port, asked):
        done = ask(tmp_path, port)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(asked) == 1


def test_a_web_server_whose_api_is_not_up_yet(tmp_path: Path) -> None:
    with web_server(503) as (port, asked):
        done = ask(tmp_path, port)
    assert done.returncode != 0
    assert "The web API doesn't answer" in done.stdout + done.stderr
    assert "(503)" in done.stdout + done.stderr
    assert len(asked) == 1


def test_nobody_listens(tmp_path: Path) -> None:
    with web_server(200) as (port, asked):
        pass
    done = ask(tmp_path, port)
    assert done.returncode != 0
    assert "https: " in done.stdout + done.stderr
    assert asked == []
