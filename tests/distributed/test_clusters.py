"""The cluster of --workers takes nobody but its own processes; one at an address is reached with certificates."""

import asyncio
import json
import os
import socket
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from spotdx_async.errors import ConfigError, InvalidInputError

dask = pytest.importorskip("distributed", reason="the extra dask is not installed")
psutil = pytest.importorskip("psutil", reason="it comes with Dask")

from distributed.security import Security  # noqa: E402 - after the skip

from spotdx_async.cli.app import run  # noqa: E402
from spotdx_async.distributed import TlsFiles, clusters, connected, is_open_to_network  # noqa: E402

ATTACK = """
import asyncio, json, os, sys
import distributed, distributed.comm.tcp
from distributed.security import Security

scheduler, scratch, ports = json.loads(sys.argv[1])
place = scheduler.partition("://")[2]

async def try_client(address, security, timeout=5):
    try:
        async with asyncio.timeout(2 * timeout):
            async with distributed.Client(address, asynchronous=True, security=security, timeout=timeout) as client:
                return "let in: %s" % await client.submit(os.getuid)
    except (OSError, TimeoutError):
        return "refused"

async def try_http(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /json/counts.json HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
    try:
        answer = await asyncio.wait_for(reader.read(100), 5)
    except (OSError, TimeoutError):
        answer = b""
    writer.close()
    return "answered" if answer.startswith(b"HTTP/") else "refused"

def try_scratch():
    try:
        return "let in: %s" % os.listdir(scratch)
    except PermissionError:
        return "refused"

async def main():
    found = {
        "uid": os.getuid(),
        "tcp": await try_client("tcp://" + place, None),
        "own certificate": await try_client("tls://" + place, own_certificate),
        "http": [await try_http(port) for port in ports],
        "scratch": try_scratch(),
    }
    print(json.dumps(found))

if __name__ == "__main__":
    # Whoever the user becomes may not be able to read where the packages lie: all that is used is loaded before.
    own_certificate = Security.temporary()
    for security in (None, own_certificate):
        asyncio.run(try_client("%s://127.0.0.1:9" % ("tls" if security else "tcp"), security, 0.2))
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    asyncio.run(main())
"""


def listening(since: set[int]) -> list[int]:
    """The ports that this process and its children listen on, without those of before."""
    me = psutil.Process()
    found = {
        one.laddr.port
        for process in (me, *me.children(recursive=True))
        for one in process.net_connections()
        if one.status == psutil.CONN_LISTEN
    }
    return sorted(found - since)


def scratch_of(client_folders: dict[str, str]) -> Path:
    (folder,) = client_folders.values()
    return next(path for path in Path(folder).parents if path.name.startswith("spotdx-dask-"))


async def attack(address: str, scratch: Path, ports: list[int]) -> dict[str, Any]:
    """Try all that listens, as the user ``nobody``."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ATTACK, json.dumps([address, str(scratch), ports])),
        cwd="/",
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 90)
    assert process.returncode == 0, err.decode()
    found: dict[str, Any] = json.loads(out)
    return found


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
async def test_another_user_of_the_machine_is_refused() -> None:
    before = set(listening(set()))
    async with connected(None, 1) as client:
        scratch = scratch_of(await client.run(lambda dask_worker: dask_worker.local_directory))
        ports = listening(before)
        found = await attack(client.scheduler_info()["address"], scratch, ports)
        ours = await client.submit(os.getuid)

    assert ours == 0
    assert len(ports) >= 3  # scheduler, nanny, worker
    assert found == {
        "uid": 65534,
        "tcp": "refused",
        "own certificate": "refused",
        "http": ["refused"] * len(ports),
        "scratch": "refused",
    }


def shakes_hands(port: int) -> bool:
    """Whether somebody with no certificate, or one of another authority, gets a word out of what listens there."""
    plain = ssl.create_default_context()
    plain.check_hostname, plain.verify_mode = False, ssl.CERT_NONE
    stranger = Security.temporary().get_connection_args("client")["ssl_context"]
    stranger.verify_mode = ssl.CERT_NONE
    for context in (plain, stranger):
        try:
            with (
                socket.create_connection(("127.0.0.1", port), timeout=10) as raw,
                context.wrap_socket(raw) as wrapped,
            ):
                if wrapped.recv(1):  # with TLS 1.3 the refusal comes after the client's side of the handshake
                    return True
        except (ssl.SSLError, ConnectionError):
            continue
    return False


async def test_all_that_listens_asks_for_the_runs_own_certificate() -> None:
    before = set(listening(set()))
    async with connected(None, 2) as client:
        ports = listening(before)
        let_in = [port for port in ports if await asyncio.to_thread(shakes_hands, port)]
        address = client.scheduler_info()["address"]
        doubled = await client.gather(client.map(abs, [-1, 2], pure=False))

    assert address.startswith("tls://127.0.0.1:")
    assert len(ports) >= 5  # a scheduler, two nannies, two workers
    assert let_in == []
    assert doubled == [1, 2]


async def test_scratch_files_are_for_one_user_and_go_with_the_cluster() -> None:
    async with connected(None, 1) as client:
        scratch = scratch_of(await client.run(lambda dask_worker: dask_worker.local_directory))
        about = scratch.stat()
        links = [path for path in scratch.rglob("*") if path.is_symlink()]

    assert stat.S_IMODE(about.st_mode) == 0o700
    assert about.st_uid == os.geteuid()
    assert links == []
    assert not scratch.exists()


def test_without_cryptography_no_open_cluster_is_started(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    monkeypatch.setenv("SPOTDX_TOKEN", "canary-token")
    rows = tmp_path / "kits.csv"
    rows.write_text("kit_id,n\nSPOT000001,1\n")

    assert run(["kits", "update", str(rows), "--workers", "1"]) == 2
    assert "without cryptography: pip install 'spotdx-async[dask]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("address", "is_open"),
    [
        ("tcp://10.0.0.7:8786", True),
        ("scheduler:8786", True),
        ("tcp://scheduler.example:8786", True),
        ("ws://scheduler:8786", True),
        ("tcp://[2001:db8::1]:8786", True),
        ("tcp://127.0.0.1.example:8786", True),
        ("tcp://127.0.0.1:8786", False),
        ("tcp://127.8.8.8:8786", False),
        ("localhost:8786", False),
        ("tcp://[::1]:8786", False),
        ("tls://scheduler:8786", False),
        ("wss://scheduler:8786", False),
        ("inproc://10.0.0.7/1/2", False),
    ],
)
def test_what_goes_to_another_host_in_the_clear_is_known(address: str, *, is_open: bool) -> None:
    assert is_open_to_network(address) is is_open


# --- Clusters at an address ---


class Authority:
    """Makes files of certificates."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._ca = trustme.CA()
        self._folder = folder
        self._ca.cert_pem.write_to_path(folder / "ca.pem")

    def files(self, name: str) -> TlsFiles:
        cert, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        issued = self._ca.issue_cert(f"{name}.example")
        issued.cert_chain_pems[0].write_to_path(cert)
        issued.private_key_pem.write_to_path(key)
        return TlsFiles(ca=str(self._folder / "ca.pem"), cert=str(cert), key=str(key))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "ours")


@pytest.fixture
def tls_cluster(authority: Authority) -> Iterator[str]:
    of = authority.files("scheduler")
    security = Security(
        tls_ca_file=of.ca,
        **{f"tls_{role}_cert": of.cert for role in ("scheduler", "worker", "client")},
        **{f"tls_{role}_key": of.key for role in ("scheduler", "worker", "client")},
        require_encryption=True,
    )
    with dask.LocalCluster(
        n_workers=1,
        processes=False,
        protocol="tls",
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        security=security,
    ) as cluster:
        yield cluster.scheduler_address


async def test_a_cluster_with_tls_takes_who_has_a_certificate_and_nobody_else(
    tls_cluster: str, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "_CONNECT_S", 5.0)

    async with connected(tls_cluster, None, tls=authority.files("client")) as client:
        assert await client.submit(abs, -7) == 7

    theirs = Authority(tmp_path / "theirs").files("client")
    for tls, fault in ((None, "accepts nobody without a certificate"), (theirs, "does not accept this client")):
        with pytest.raises(ConfigError, match=fault):
            async with connected(tls_cluster, None, tls=tls):
                raise AssertionError


async def test_dasks_own_settings_may_name_the_files(
    tls_cluster: str, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dask as dask_itself  # noqa: PLC0415 - it comes with the extra

    monkeypatch.setattr(clusters, "_CONNECT_S", 10.0)
    of = authority.files("client")
    tls = {"ca-file": of.ca, "client": {"cert": of.cert, "key": of.key}}
    before = dask_itself.config.get("distributed.comm.tls")
    with dask_itself.config.set({"distributed.comm.tls": {**before, **tls}}):
        async with connected(tls_cluster, None) as client:
            assert await client.submit(abs, -7) == 7


async def test_files_that_cannot_be_used_are_said(authority: Authority, tmp_path: Path) -> None:
    ours = authority.files("client")
    other = Authority(tmp_path / "theirs").files("client")
    (tmp_path / "junk").write_text("junk")
    for tls, fault in (
        (TlsFiles(ca=ours.ca, cert=ours.cert, key=str(tmp_path / "none")), "cannot be read"),
        (TlsFiles(ca=ours.ca, cert=ours.cert, key=other.key), "that belong together"),
        (TlsFiles(ca=str(tmp_path / "junk"), cert=ours.cert, key=ours.key), "that belong together"),
    ):
        with pytest.raises(ConfigError, match=fault):
            async with connected("tls://127.0.0.1:9", None, tls=tls):
                raise AssertionError
    with pytest.raises(InvalidInputError, match="address without TLS"):
        async with connected("tcp://127.0.0.1:9", None, tls=ours):
            raise AssertionError


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("SPOTDX_TOKEN", "canary-token")
    monkeypatch.setattr(clusters, "_CONNECT_S", 0.2)
    path = tmp_path / "kits.csv"
    path.write_text("kit_id,n\nSPOT000001,1\n")
    return str(path)


@pytest.mark.parametrize(
    ("address", "is_warned"),
    [("tcp://192.0.2.1:8786", True), ("192.0.2.1:8786", True), ("tcp://127.0.0.1:9", False)],
)
def test_a_cluster_in_the_clear_on_another_host_gets_a_warning(
    rows: str, capsys: pytest.CaptureFixture[str], address: str, *, is_warned: bool
) -> None:
    assert run(["kits", "update", rows, "--dask", address]) == 2

    told = capsys.readouterr().err
    assert ("neither encrypted nor authenticated" in told) is is_warned
    assert "no Dask scheduler answers" in told


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (["--dask", "tls://127.0.0.1:9", "--dask-tls-ca", "ca.pem"], "go together"),
        (["--dask", "tls://127.0.0.1:9", "--dask-tls-cert", "c", "--dask-tls-key", "k"], "go together"),
        (
            ["--dask", "tcp://127.0.0.1:9", "--dask-tls-ca", "a", "--dask-tls-cert", "c", "--dask-tls-key", "k"],
            "tls://",
        ),
        (["--workers", "1", "--dask-tls-ca", "a", "--dask-tls-cert", "c", "--dask-tls-key", "k"], "need --dask"),
        (["--dask", "tls://127.0.0.1:9", "--dask-tls-ca", "a", "--dask-tls-cert", "c", "--dask-tls-key", "k"], "read"),
    ],
)
def test_options_for_tls_that_do_not_fit_are_refused(
    rows: str, capsys: pytest.CaptureFixture[str], options: list[str], fault: str
) -> None:
    assert run(["kits", "update", rows, *options]) == 2
    assert fault in capsys.readouterr().err


def test_the_command_line_reaches_a_cluster_with_tls(
    tls_cluster: str,
    authority: Authority,
    rows: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from spotdx_async.testing import FakeSpot  # noqa: PLC0415 - this test's alone

    monkeypatch.setattr(clusters, "_CONNECT_S", 10.0)
    tls = authority.files("client")
    options = ("--dask-tls-ca", tls.ca, "--dask-tls-cert", tls.cert, "--dask-tls-key", tls.key)
    with FakeSpot(kits=1, token="canary-token") as fake:
        monkeypatch.setenv("SPOTDX_BASE_URL", fake.url)
        assert run(["kits", "update", rows, "--dask", tls_cluster, *options, "--json"]) == 0

    out, err = capsys.readouterr()
    assert json.loads(out)["ok"] == 1
    assert "neither encrypted" not in err
