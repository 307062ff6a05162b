"""Real work in processes that are killed: starting it, killing all of it, and what it left."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from compassign_core.contracts.settings.simulate import SimulationSettings
from compassign_core.pipeline.stages import ARTIFACTS
from compassign_core.simulate.export import simulate_export
from compassign_core.store.warehouse import query
from tests.support.installation import LIB

REPOSITORY = Path(__file__).parents[2]
CAPS = (5, 10)

_CLI = "from compassign_core.cli.main import main; main()"
WORK = {
    "dagster": [
        *("-m", "compassign_assets.demo", "--lib", str(LIB), "--cap"),
        *(str(cap) for cap in CAPS),
    ],
    "cli": ["-c", _CLI, "rt", "evaluate", "--libs", str(LIB), "--cap", ",".join(map(str, CAPS))],
}
"""What a user starts, by the way in: every artifact, and what an evaluation needs."""


def install(root: Path) -> Path:
    """An installation with a small export, nothing made."""
    simulate_export(
        root / "data", SimulationSettings(libs=(LIB,), n_sample_sets=4, n_comps=12, n_runs=6)
    )
    for name in ("dagster.yaml", "workspace.yaml"):
        shutil.copyfile(REPOSITORY / name, root / name)
    return root


def reseed(root: Path, seed: int) -> None:
    """Set the seed of the library's preparation, on which all tables of its training depend."""
    file = root / "data" / "libraries.toml"
    section = f"[library.{LIB}.prep]"
    lines = [x for x in file.read_text().splitlines() if not x.startswith("seed = ")]
    assert section in lines
    lines.insert(lines.index(section) + 1, f"seed = {seed}")
    file.write_text("\n".join(lines) + "\n")


def environment(root: Path, **more: str) -> dict[str, str]:
    """The environment of a process that works in an installation."""
    return {
        **os.environ,
        "COMPASSIGN_ROOT": str(root),
        "COMPASSIGN_DATA": str(root / "data"),
        "PYTHONPATH": str(REPOSITORY),
        "OPENBLAS_NUM_THREADS": "1",
        "MPLCONFIGDIR": str(root.parent / "matplotlib"),
        **more,
    }


def start(root: Path, way: str, **more: str) -> subprocess.Popen[bytes]:
    """Start the work of one way in, in a process group of its own."""
    with (root / "work.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, *WORK[way]],
            cwd=root,
            env=environment(root, **more),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def finish(root: Path, way: str, limit: float, **more: str) -> float:
    """Do the work to its end and return its seconds; raises when it fails or never ends."""
    begun = time.monotonic()
    process = start(root, way, **more)
    try:
        code = process.wait(timeout=limit)
    except subprocess.TimeoutExpired:
        kill(process)
        raise AssertionError(f"blocked for {limit:.0f} s\n{log_of(root)}") from None
    assert code == 0, log_of(root)
    return time.monotonic() - begun


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill -9 the process and all of its group."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def log_of(root: Path) -> str:
    return (root / "work.log").read_text(encoding="utf-8", errors="replace")[-3000:]


def results(root: Path) -> dict[str, bytes]:
    """Every published file of an installation, with its id registry, by its place."""
    found = {}
    for top in (root / "lake", root / "data" / "registry"):
        for path in sorted(top.rglob("*")):
            hidden = any(part.startswith(".") for part in path.relative_to(top).parts)
            if path.is_file() and not hidden and path.suffix != ".lock":
                found[path.relative_to(root).as_posix()] = path.read_bytes()
    return found


@dataclass(frozen=True)
class Leftovers:
    """What a killed process left: files aside, spill folders, locks of runs."""

    aside: tuple[str, ...]
    spills: tuple[str, ...]
    locks: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.aside) + len(self.spills) + len(self.locks)


def leftovers(root: Path) -> Leftovers:
    def named(top: str, pattern: str) -> tuple[str, ...]:
        return tuple(str(path.relative_to(root)) for path in sorted((root / top).rglob(pattern)))

    return Leftovers(
        (*named("lake", "*.aside*"), *named("data", "*.aside*"), *named(".", ".warehouse*")),
        named("lake", ".spill-*"),
        named(".dagster", "running/*.lock"),
    )


def phase(root: Path) -> str:
    """The stage of the artifact published last, or of the files aside when there are any."""
    aside = [path for path in root.glob("lake/**/*.aside*") if path.is_file()]
    whole = [path for path in root.glob("lake/**/lineage.json")]
    if not (aside or whole):
        return "before the first"
    newest = max(aside or whole, key=lambda path: path.stat().st_mtime_ns)
    name = newest.relative_to(root / "lake").parts[0].removesuffix("_rejects")
    return ARTIFACTS[name].group if name in ARTIFACTS else name


def check_usable(root: Path) -> None:
    """Locks can be had, and the warehouse can be opened."""
    for file in (root / "data" / "registry").glob("*.lock"):
        try:
            FileLock(file).acquire(timeout=1).lock.release()
        except Timeout:
            raise AssertionError(f"{file} is held by nobody alive and still blocks") from None
    if (root / "warehouse.duckdb").exists():
        assert query(root / "warehouse.duckdb", "SHOW TABLES").rows
