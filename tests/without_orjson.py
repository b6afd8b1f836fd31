"""A plugin of pytest (``-p tests.without_orjson``): the SDK as on a Python that orjson has no wheel for."""

import sys

sys.modules["orjson"] = None  # type: ignore[assignment]  # as an import finds it that is not installed
