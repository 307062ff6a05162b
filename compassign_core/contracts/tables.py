"""What a table contract is: columns with types, units and bounds, a key, and an order.

The contracts of the product's own tables stand in `catalogue`. A contract is checked on the
written file before it replaces the last good one (`compassign_core.store.lake`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

COVARIATE_PREFIXES: tuple[str, ...] = ("IS", "RS", "ES_")
"""A column is a run covariate exactly when its name begins with one of these."""

_COVARIATE_NAME = re.compile(r"^(IS|RS|ES_)")


def is_covariate(name: str) -> bool:
    """Whether `name` is that of a run covariate (internal, retention or endogenous standard)."""
    return bool(_COVARIATE_NAME.match(name))


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes
    ----------
    name : column name.
    type : DuckDB type, for example ``BIGINT``.
    description : meaning, readable by a newcomer.
    unit : unit of measurement, ``""`` for none.
    nullable : whether a null is allowed.
    minimum, exclusive_minimum : lower bound; a NaN or infinity never passes a bound.
    maximum : upper bound, inclusive; a whole number, since it bounds ids.
    values : the only values allowed, empty for any.
    """

    name: str
    type: str
    description: str
    unit: str = ""
    nullable: bool = False
    minimum: float | None = None
    exclusive_minimum: float | None = None
    maximum: int | None = None
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class TableContract:
    """The shape of one table of the lake.

    Attributes
    ----------
    name : artifact name, also its folder in the lake.
    description : one sentence for the UI and the docs.
    partitions : partition dimensions, a prefix of ``("lib_id", "row_cap")``.
    columns : the columns in file order.
    key : columns that identify a row; empty when rows need not be unique.
    order_by : columns that fix the row order of the file; must make it total.
    covariates : whether DOUBLE columns named as covariates follow the fixed ones, sorted by name.
    """

    name: str
    description: str
    partitions: tuple[str, ...]
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    order_by: tuple[str, ...] = ()
    covariates: bool = False

    def names(self) -> tuple[str, ...]:
        """Names of the fixed columns."""
        return tuple(column.name for column in self.columns)
