"""A client's callbacks as an observer, and the dispatcher of its observers."""

import inspect
from collections.abc import Mapping
from typing import Any

from spotdx_async._observe.dispatch import Dispatcher
from spotdx_async.errors import ConfigError
from spotdx_async.observers import AttemptRecord, Observer, PauseRecord, RetryRecord

__all__ = ["dispatcher_of"]


def dispatcher_of(base_url: str, observer: object, hooks: Mapping[str, Any]) -> Dispatcher | None:
    """Make the dispatcher of a client; None where nobody wants to be told.

    Raises:
        ConfigError: the observer is none, or a hook is no function, or an async one, which nobody would await.
    """
    if observer is not None and not isinstance(observer, Observer):
        raise ConfigError(f"observer must be an Observer, such as otel.OpenTelemetry(), not {type(observer).__name__}")
    for name, hook in hooks.items():
        if hook is not None and (not callable(hook) or inspect.iscoroutinefunction(hook)):
            raise ConfigError(f"{name} must be a plain function that takes one record, or None")
    observers = [observer] if observer is not None else []
    if any(hook is not None for hook in hooks.values()):
        observers.append(_Callbacks(hooks))
    return Dispatcher(observers, base_url) if observers else None


class _Callbacks(Observer):
    """Hands three kinds of record to plain functions."""

    def __init__(self, hooks: Mapping[str, Any]) -> None:
        self._hooks = hooks

    def attempt(self, _mark: Any, record: AttemptRecord) -> None:
        """Hand it to ``on_attempt``."""
        self._call("on_attempt", record)

    def retry(self, _mark: Any, record: RetryRecord) -> None:
        """Hand it to ``on_retry``."""
        self._call("on_retry", record)

    def pause(self, _mark: Any, record: PauseRecord) -> None:
        """Hand it to ``on_pause``."""
        self._call("on_pause", record)

    def _call(self, name: str, record: object) -> None:
        hook = self._hooks.get(name)
        if hook is not None:
            hook(record)
