"""CompAssign as Dagster software-defined assets: thin wrappers, no statistics.

What is computed stands in `compassign_core`; here stands what exists, when it is rebuilt, and
whether it may be believed.
"""
