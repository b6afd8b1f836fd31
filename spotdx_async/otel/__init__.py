"""Spans and metrics of a client for OpenTelemetry; an optional extra."""

from .observer import OpenTelemetry

__all__ = ["OpenTelemetry"]
