"""The chart library's doorman: whether it is there, its version, and its script as text.

Why plotly: kept since 2012; it needs two small packages, while bokeh brings numpy, pillow, contourpy, tornado and more;
it draws as SVG, which prints sharply, and runs under a Content-Security-Policy without ``unsafe-eval``. pygal and
matplotlib draw without a script, but tell no figure under the pointer; pyecharts loads its script from a network. The
price is the size: plotly's script is 4.8 MB, bokeh's 1.3 MB.
"""

from spotdx_async.errors import ConfigError

__all__ = ["check_available", "library_script", "library_version"]


def check_available() -> None:
    """Check, before a run, that its report can be made.

    Raises:
        ConfigError: the chart library is missing; the message says what to install.
    """
    library_script()


def library_script() -> str:
    """Give the library's script, 4.8 MB, which may stand in a page as it is.

    Raises:
        ConfigError: the library is missing or cannot be read.
    """
    try:
        from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]  # noqa: PLC0415 - only for a report

        script = str(get_plotlyjs())
    except (ImportError, OSError):
        pass
    else:
        return script
    raise ConfigError("a report needs the chart library plotly: install spotdx-async[report]")


def library_version() -> str:
    """Give the version of the library's script.

    Raises:
        ConfigError: the library is missing.
    """
    check_available()
    from plotly.offline import get_plotlyjs_version  # noqa: PLC0415 - only for a report

    return str(get_plotlyjs_version())
