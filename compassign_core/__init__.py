"""CompAssign: LC-MS library exports to calibrated retention-time windows.

This package is a plain library. It never imports the orchestrator; `compassign_assets` wraps
its functions as Dagster assets, and `compassign_core.cli` as shell commands.
"""

__version__ = "0.1.0"
