"""Judging trials and stored kinds together on the held-out rows; nothing of it is kept."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from compassign_core.contracts.catalogue import RT_PREDICTIONS
from compassign_core.contracts.errors import SettingsError
from compassign_core.contracts.settings.evaluation import EvaluationSettings
from compassign_core.contracts.settings.models import MODELS
from compassign_core.pipeline.evaluation import COMPARISON
from compassign_core.pipeline.models import WINDOWS
from compassign_core.pipeline.trials.definition import Trial
from compassign_core.store.lake import Partition, TableSource, parquet_source
from compassign_core.store.project import Project


@dataclass(frozen=True)
class Judged:
    """Predictions of some models on the held-out rows of a library and cap.

    Attributes
    ----------
    predictions : SQL text of a table of `RT_PREDICTIONS`.
    n_rows, n_judged : held-out rows there are, and rows predicted.
    """

    predictions: TableSource
    n_rows: int
    n_judged: int


@contextmanager
def judged(
    project: Project,
    place: Partition,
    models: Mapping[str, Path],
    evaluation: EvaluationSettings,
) -> Iterator[Judged]:
    """Predictions of models, by name, for the time of a block; all on the same rows.

    Raises
    ------
    MissingArtifactError
        when the tables or a model have not been made.
    InputError
        when a model does not fit the table.
    """
    from compassign_core.rt.arrow import arrow_schema
    from compassign_core.rt.predictions import HeldOut

    lake = project.lake
    held_out = HeldOut.open(
        lake.source("realtest_table", Partition(place.lib)),
        lake.source("rt_table", place),
        lake.connection,
        evaluation,
    )
    spill = Path(project.engine.temp_directory)
    spill.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="judged_", dir=spill) as folder:
        path = Path(folder) / "predictions.parquet"
        with pq.ParquetWriter(path, arrow_schema(RT_PREDICTIONS), compression="lz4") as writer:
            for batch in held_out.predicted(models.values(), WINDOWS.level):
                writer.write_batch(batch)
        yield Judged(parquet_source(path), held_out.n_rows, held_out.n_judged)


def baselines_for(
    trials: Sequence[Trial], names: Collection[str], asked: Sequence[str] = ()
) -> tuple[str, ...]:
    """What models are compared with: what was asked for, or else the kinds of the trials first.

    Where a kind itself is not among the models, a trial of it that only has fewer rows stands in.

    Parameters
    ----------
    trials : the trials among the models.
    names : all models that are compared.
    asked : names to compare with.

    Raises
    ------
    SettingsError
        when an asked one is not among the models, or there is nothing to compare with.
    """
    unknown = [name for name in asked if name not in names]
    if unknown:
        raise SettingsError(
            f"--baseline {unknown[0]!r} is not among the models compared.",
            f"choose from {', '.join(sorted(names))}, or add it with --model or --trial.",
        )
    plain = {
        trial.kind: trial.name
        for trial in trials
        if trial.name in names and trial.settings == MODELS[trial.kind].settings
    }
    changed = [trial.kind for trial in trials if trial.name not in plain.values()]
    wanted = [kind if kind in names else plain.get(kind) for kind in (*changed, *_USUAL)]
    found = tuple(asked) or tuple(dict.fromkeys(name for name in wanted if name is not None))
    if not found or len(names) < 2:
        raise SettingsError(
            f"there is nothing to compare {', '.join(sorted(names))} with.",
            f"train a baseline ({', '.join(_USUAL)}) too, or name one with --baseline.",
        )
    return found


_USUAL = COMPARISON.baselines
