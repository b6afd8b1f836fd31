"""nginx and haproxy before the fake, as servers of the vendor may stand: started, reloaded, their workers killed."""

import asyncio
import os
import random
import signal
import string
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from spotdx_async.testing import FakeSpot
from tests.programs import answers, find, free_port

__all__ = ["FRONTS", "LONG_BODY", "LONG_PATH", "Front", "front", "trouble"]

LONG_BODY, LONG_PATH = 6_000, 1_500
"""From how many bytes on both answer 413 and 414, or 400."""

# Each page comes by chance as well; what is sent too fast is refused with the one or the other status.
PAGES = dict.fromkeys(("413", "414", "431", "502", "503", "504", "200"), 8)
"""How many of a thousand requests get that page in place of an answer; of 200, a maintenance page."""

_NGINX = string.Template("""daemon off; user root; pid $at/pid; error_log $at/error.log crit;
worker_processes 2; worker_shutdown_timeout 5s; events { worker_connections 512; }
http {
  access_log off; client_body_temp_path $at/b; proxy_temp_path $at/p; fastcgi_temp_path $at/f;
  uwsgi_temp_path $at/u; scgi_temp_path $at/s;
  limit_req_zone $$server_port zone=all:32k rate=${rate}r/s;
  split_clients $$request_id $$page { $shares * ""; }
  upstream fake { server $to; keepalive 8; }
  server {
    listen 127.0.0.1:$port backlog=4096; keepalive_requests 50; client_max_body_size 5k;
    client_header_buffer_size 1k; large_client_header_buffers 4 1k;
    error_page 494 =431 /431; location = /431 { internal; return 431 "<html>too large</html>"; }
    limit_req zone=all burst=$burst nodelay; limit_req_status $refusal;
    $returns
    location / {
      proxy_pass http://fake; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_connect_timeout 1s; proxy_read_timeout 1s;
    }
  }
}""")
_HAPROXY = string.Template("""global
  maxconn 1000
  hard-stop-after 5s
defaults
  mode http
  timeout connect 1s
  timeout client 5s
  timeout server 1s
  timeout queue 1s
  timeout http-keep-alive 2s
frontend all
  bind 127.0.0.1:$port backlog 4096
  stick-table type integer size 1 expire 2s store http_req_rate(1s)
  http-request track-sc0 int(1)
  http-request return status $refusal content-type text/html string slow if { sc_http_req_rate(0) gt $rate }
  http-request return status 413 content-type text/html string large if { req.hdr_val(content-length) gt 5000 }
  http-request return status 414 content-type text/html string long if { url,length gt 1400 }
  http-request return status 431 content-type text/html string many if { req.fhdr(x-long) -m len gt 1000 }
$returns
  default_backend fake
backend fake
  http-reuse safe
  server fake $to maxconn 100
""")


@dataclass
class Front(ABC):
    """A program before a server, with its settings in a folder."""

    folder: Path
    to: str
    """Host and port of what stands behind it."""
    rate: int
    """Requests a second, above which it refuses."""
    share: float = 1.0
    """How much of ``PAGES`` it plays."""
    refusal: Literal[429, 503] = 429
    port: int = field(default_factory=free_port)
    told: Counter[str] = field(default_factory=Counter)
    """What was done to it."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @abstractmethod
    async def start(self) -> None:
        """Begin to listen."""

    @abstractmethod
    async def reload(self) -> None:
        """Take new settings: the other status for what is too fast."""

    @abstractmethod
    async def kill(self) -> None:
        """Kill what serves, and let it be replaced."""

    @abstractmethod
    async def stop(self) -> None:
        """End everything."""

    def _turn(self) -> None:
        self.refusal = 503 if self.refusal == 429 else 429


@dataclass
class Nginx(Front):
    _master: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        program = find("nginx", "nginx")
        self._write()
        self._master = await asyncio.create_subprocess_exec(
            program, "-c", str(self.folder / "nginx.conf"), "-e", str(self.folder / "error.log")
        )
        await answers(self.port)

    def _write(self) -> None:
        shares = " ".join(f"{count * self.share / 10:.2f}% {page};" for page, count in PAGES.items() if self.share)
        returns = " ".join(f'if ($page = {page}) {{ return {page} "<html>{page}</html>"; }}' for page in PAGES)
        # Without a text of ours it is nginx's own page.
        returns = returns.replace('return 502 "<html>502</html>"', "return 502")
        (self.folder / "nginx.conf").write_text(
            _NGINX.substitute(
                at=self.folder,
                port=self.port,
                to=self.to,
                rate=self.rate,
                burst=self.rate // 20,
                refusal=self.refusal,
                shares=shares,
                returns=returns,
            )
        )

    async def reload(self) -> None:
        assert self._master is not None
        self._turn()
        self._write()
        self._master.send_signal(signal.SIGHUP)

    async def kill(self) -> None:
        assert self._master is not None
        children = Path(f"/proc/{self._master.pid}/task/{self._master.pid}/children").read_text().split()
        with suppress(ProcessLookupError):  # one that a reload has ended meanwhile
            os.kill(int(random.choice(children)), signal.SIGKILL)

    async def stop(self) -> None:
        if self._master is not None:
            self._master.terminate()
            await self._master.wait()


@dataclass
class Haproxy(Front):
    _processes: list[asyncio.subprocess.Process] = field(default_factory=list)

    async def start(self, *more: str) -> None:
        program = find("haproxy", "haproxy")
        chance = "  http-request return status {0} content-type text/html string page if {{ rand(1000) lt {1:.0f} }}"
        returns = "\n".join(chance.format(page, count * self.share) for page, count in PAGES.items())
        settings = self.folder / "haproxy.cfg"
        settings.write_text(
            _HAPROXY.substitute(port=self.port, to=self.to, rate=self.rate, refusal=self.refusal, returns=returns)
        )
        process = await asyncio.create_subprocess_exec(program, "-db", "-q", "-f", str(settings), *more)
        self._processes.append(process)
        await answers(self.port)

    async def reload(self) -> None:
        self._turn()
        await self.start("-sf", *(str(process.pid) for process in self._processes if process.returncode is None))

    async def kill(self) -> None:
        self._processes[-1].kill()
        await self._processes[-1].wait()
        await self.start()

    async def stop(self) -> None:
        for process in self._processes:
            if process.returncode is None:
                process.kill()
            await process.wait()


FRONTS: dict[str, type[Front]] = {"nginx": Nginx, "haproxy": Haproxy}


@asynccontextmanager
async def front(name: str, folder: Path, fake: FakeSpot, *, rate: int, share: float = 1.0) -> AsyncIterator[Front]:
    """Stand before the fake."""
    one = FRONTS[name](folder, fake.url.removeprefix("http://"), rate, share)
    try:
        await one.start()
        yield one
    finally:
        await one.stop()


async def trouble(one: Front, dice: random.Random) -> None:
    """Reload it and kill what serves, again and again, until cancelled."""
    while True:
        await asyncio.sleep(dice.uniform(0.5, 2.0))
        act = dice.choice([one.reload, one.reload, one.kill])
        one.told[act.__name__] += 1
        await act()
