"""The client of a worker process: one for all its shards, created when the first needs it. No token travels with it."""

import pickle
from collections.abc import Callable, Mapping
from typing import Any

from attrs import field, frozen

from spotdx_async._codec.encoding import check_encode
from spotdx_async._observe.scrub import scrubs_traceback
from spotdx_async.client import SpotClient
from spotdx_async.config import (
    Limiter,
    RateLimit,
    RetryPolicy,
    check_base_url,
    check_count,
    check_flag,
    check_http_hosts,
    given_base_url,
)
from spotdx_async.distributed.shard import Shard, ShardReport
from spotdx_async.distributed.shard_run import ShardOptions, run_shard
from spotdx_async.errors import ConfigError
from spotdx_async.network import check_open_proxy, ssl_context_with_environment
from spotdx_async.own_loop import run_in_own_loop


@frozen(kw_only=True)
class ClientSettings:
    """The settings of a worker's client; picklable, and free of secrets.

    Raises:
        ConfigError: a setting is wrong.
    """

    allow_http_hosts: tuple[str, ...] = field(default=(), converter=check_http_hosts)
    """Hosts to which ``base_url`` may lead by http, as for ``SpotClient``."""
    base_url: str = field(default=None, converter=given_base_url)
    """The server; None: the one that the environment names here, where the settings are made, else production."""
    timeout_s: float = 30.0
    """One attempt, in seconds."""
    lands_within_s: float = 60.0
    """Seconds after which a request that was sent has been executed, or never will be; at least ``timeout_s``."""
    concurrency: int = field(default=64)
    """Calls in flight at once in one process."""
    retry: RetryPolicy = field(factory=RetryPolicy)
    """When and how often to repeat."""
    allow_any_id: bool = field(default=False)
    """Accept ids that hold a slash, a backslash, a semicolon or nothing but dots, as ``SpotClient`` does."""
    encode: Callable[[Any], object] | None = field(default=None, repr=False)
    """Returns the JSON form of a value that JSON lacks, as for ``SpotClient``. A run's rows are encoded where they are
    split; what a worker sends besides, there. It travels by its name, so it is a function of a module that workers can
    import, and no lambda."""
    proxy: str | None = field(default=None)
    """The workers' forward proxy, without credentials: one with them belongs into the workers' ``SPOTDX_PROXY``, which
    is used where this is None."""
    ca_file: str | None = None
    """A file on the workers with the authorities to trust, in PEM, or ``system``; None: their ``SPOTDX_CA_FILE``."""
    client_cert: str | None = None
    """A file on the workers with their client certificate, in PEM; None: their ``SPOTDX_CLIENT_CERT``."""
    client_key: str | None = None
    """A file on the workers with its key, in PEM; None: it is in ``client_cert``, or in ``SPOTDX_CLIENT_KEY``."""
    connect_timeout_s: float = 10.0
    """The part of ``timeout_s`` that a new connection may take, in seconds."""
    user_agent: str | None = None
    """What follows the SDK's own ``User-Agent``."""
    headers: Callable[[], Mapping[str, str]] | None = field(default=None, repr=False)
    """Returns headers on the worker, which a gateway asks for, say: they may be secret, and do not travel."""
    token: Callable[[], str] | None = field(default=None, repr=False)
    """Returns the token on the worker, plain or async; None: the ``SPOTDX_TOKEN`` of the worker's own environment."""
    limiter: Callable[[], RateLimit | Limiter] | None = field(default=None, repr=False)
    """Returns the limiter on the worker, such as one shared through Redis, whose address it finds there."""

    @token.validator
    def _check_token(self, _attribute: object, value: object) -> None:
        if value is not None and not callable(value):
            raise ConfigError("token must be a function, called on the worker: no token is sent to it")

    @encode.validator
    def _check_encode(self, _attribute: object, value: object) -> None:
        if check_encode(value) is None:
            return
        try:
            pickle.dumps(value)
        except Exception:  # noqa: BLE001 - pickle raises whatever the object's own code does, with its repr
            message = "encode must be a function that can be pickled by its name: of a module, and no lambda"
        else:
            return
        raise ConfigError(message)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "base_url", check_base_url(self.base_url, self.allow_http_hosts))

    @proxy.validator
    def _check_proxy(self, _attribute: object, value: object) -> None:
        check_open_proxy(value)  # no secret is sent to workers

    @concurrency.validator
    def _check_concurrency(self, _attribute: object, value: object) -> None:
        check_count("concurrency", value)

    @allow_any_id.validator
    def _check_allow_any_id(self, _attribute: object, value: object) -> None:
        check_flag("allow_any_id", value)

    def client(self, limiter: RateLimit | Limiter | None = None) -> SpotClient:
        """Return the client.

        Args:
            limiter: one that the caller has made, if the settings make none.

        Raises:
            ConfigError: there is no token here, or a setting is wrong.
        """
        return SpotClient(
            self.token,
            base_url=self.base_url,
            allow_http_hosts=self.allow_http_hosts,
            proxy=self.proxy,
            ssl_context=ssl_context_with_environment(self.ca_file, self.client_cert, self.client_key),
            connect_timeout_s=self.connect_timeout_s,
            headers=None if self.headers is None else self.headers(),
            user_agent=self.user_agent,
            timeout_s=self.timeout_s,
            lands_within_s=self.lands_within_s,
            concurrency=self.concurrency,
            retry=self.retry,
            allow_any_id=self.allow_any_id,
            encode=self.encode,
            rate_limit=limiter if self.limiter is None else self.limiter(),
        )


# Its frames would show what was given: a proxy's password, say, which is refused.
ClientSettings.__init__ = scrubs_traceback(ClientSettings.__init__)  # type: ignore[method-assign]


def run_shard_blocking(
    shard: Shard,
    settings: ClientSettings,
    options: ShardOptions | None = None,
    *,
    is_repeat: bool = False,
) -> ShardReport:
    """Run a shard without an event loop, in a process of a pool, of Spark or of Airflow; otherwise like ``run_shard``.

    It creates its own client and closes it, which costs at most a connection for each of ``concurrency``.

    Raises:
        ConfigError: there is no token here, or a setting is wrong.
    """

    async def run() -> ShardReport:
        async with settings.client() as spot:
            return await run_shard(
                shard,
                spot,
                options or ShardOptions.settled_for(settings.timeout_s, settings.lands_within_s),
                is_repeat=is_repeat,
            )

    return run_in_own_loop(run())
