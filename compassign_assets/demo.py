"""`python -m compassign_assets.demo`: materialise everything for the shipped libraries.

Only what is stale is made: an artifact whose code, settings, files and upstream artifacts are as
they were is skipped, so that a second call ends in seconds.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Sequence

from compassign_assets.environment import prepare_environment
from compassign_core.contracts.errors import CompassignError

DEMO_LIBS = (100, 101, 109)
DEMO_CAPS = (5, 100)


def _show_progress() -> None:
    """Print the progress lines, and only these: other libraries log through the root."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("  %(message)s"))
    logger = logging.getLogger("compassign.progress")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; returns 0 when every artifact was made or was current."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lib", type=int, nargs="+", default=list(DEMO_LIBS))
    parser.add_argument("--cap", type=int, nargs="+", default=list(DEMO_CAPS))
    chosen = parser.parse_args(arguments)
    root = prepare_environment()
    started = time.perf_counter()
    _show_progress()

    # Imported late: the environment must be set before the orchestrator loads, and loading reads
    # libraries.toml, whose faults are the user's to mend.
    try:
        from compassign_assets.runner import Runner
        from compassign_core.pipeline.summary import print_summary
        from compassign_core.store.lake import Partition
    except CompassignError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1

    print("CompAssign: from export to retention-time windows", flush=True)
    with Runner() as runner:
        runner.run("chemistry", Partition())
        for lib in chosen.lib:
            runner.run("prepare_library", Partition(lib))
            for cap in chosen.cap:
                runner.run("train_and_evaluate", Partition(lib, cap))
        runner.run("refresh_warehouse", Partition())
    if runner.failures:
        for place, messages in runner.failures.items():
            print(f"\nFailed: {place}")
            for message in messages:
                print(f"  {message}")
        return 1
    made = f"{runner.made} artifacts made, {runner.current} were current"
    print(f"\nDone in {time.perf_counter() - started:.1f} s: {made}.\n")
    print_summary(chosen.lib, chosen.cap)
    print("\nReports:")
    for lib in chosen.lib:
        for cap in chosen.cap:
            print(f"  {root / 'lake' / 'rt_report' / Partition(lib, cap).folder() / 'report.html'}")
    print("\nOpen the UI with:  make ui")
    return 0


if __name__ == "__main__":
    sys.exit(main())
