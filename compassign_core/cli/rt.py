"""`compassign rt …`: train, try, evaluate, compare and report models, and score with them.

What is made here is made by the same declarations as the orchestrator's assets and lands in the
same lake; what is current is skipped. Trials lie beside it and replace nothing.
"""

from __future__ import annotations

import typer

from compassign_core.cli.rt_evaluate import compare, evaluate
from compassign_core.cli.rt_plot import plot
from compassign_core.cli.rt_score import score
from compassign_core.cli.rt_train import train
from compassign_core.cli.rt_trials import trials
from compassign_core.cli.rt_update import update

app = typer.Typer(help="Retention-time models.", no_args_is_help=True)
for _command in (train, evaluate, compare, plot, trials, score, update):
    app.command()(_command)
