"""Retention time: RT table to coefficient summaries, to predictions, windows and evaluation.

Belongs here: models of retention time and what is computed from their coefficients. Does not
belong here: how the RT table is made (`prep`), which peak is which compound (`assignment`),
partitions and schedules (`compassign_assets`).
"""
