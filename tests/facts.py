"""The contract as a table, ``tests/contract/facts.toml``, and the SDK's model of each of its shapes."""

import tomllib
from pathlib import Path
from typing import Any

from spotdx_async import models

__all__ = ["FACTS", "MODELS", "SHAPES"]

FACTS: dict[str, Any] = tomllib.loads(Path(__file__).with_name("contract").joinpath("facts.toml").read_text("utf-8"))
MODELS: list[type[models.Model]] = [
    model
    for name in models.__all__
    if isinstance(model := getattr(models, name), type)
    and issubclass(model, models.Model)
    and model is not models.Model
]
"""Every model that the SDK exports."""
# The shapes whose model has another name.
_NAMED_OTHERWISE = {
    "Quantity": "QuantityResult",
    "CreatedOrder": "Order",
    "CreateOrder": "NewOrder",
    "RequisitionPatient": "Patient",
    "CreateRequisition": "NewRequisition",
    "Attributes": "RequisitionAttributes",
}
SHAPES: dict[str, type[models.Model]] = {
    shape: model for shape in FACTS["shapes"] if (model := getattr(models, _NAMED_OTHERWISE.get(shape, shape), None))
}
"""The model of each shape that has one."""
