"""The table that `make demo` prints: rows and rejects, accuracy and calibration, per partition."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from compassign_core.report.gather import headline
from compassign_core.store.lake import Lake, Partition
from compassign_core.store.project import current_project
from compassign_core.store.steps import STEP_FILE, read_step


def _number(value: object, pattern: str) -> str:
    return "–" if value is None else format(value, pattern)


def _step(lake: Lake, name: str, partition: Partition) -> dict[str, object]:
    return read_step(lake.need(name, partition, STEP_FILE))


def print_summary(libs: Sequence[int], caps: Sequence[int], console: Console | None = None) -> None:
    """Print one line per library, cap and model; units are minutes."""
    lake = current_project().lake
    table = Table(title="Held-out sample sets, times in minutes", title_justify="left")
    for name in ("lib", "cap", "model"):
        table.add_column(name)
    for name in (
        "rows in",
        "refused",
        "trained",
        "tested",
        "unscored",
        "RMSE",
        "MAE",
        "Cov95",
        "Width95",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    for lib in libs:
        merged = _step(lake, "lib_training", Partition(lib))
        rejects = merged["rejects"]
        assert isinstance(rejects, dict)
        for cap in caps:
            trained = _step(lake, "rt_table", Partition(lib, cap))["rows_out"]
            for row in headline(lake.arrow("rt_evaluation", Partition(lib, cap))):
                table.add_row(
                    str(lib),
                    str(cap),
                    str(row["model"]),
                    f"{merged['rows_in']:,}",
                    f"{sum(rejects.values()):,}",
                    f"{trained:,}",
                    f"{row['n_rows']:,}",
                    f"{row['n_unscored']:,}",
                    _number(row["rmse"], ".4f"),
                    _number(row["mae"], ".4f"),
                    _number(row["cov95"], ".3f"),
                    _number(row["width95"], ".4f"),
                )
    # Wide enough for every column even where the terminal's width is unknown, as in a log.
    (console or Console(width=None if Console().is_terminal else 140)).print(table)
