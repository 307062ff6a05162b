"""`python -m tests.support.watching FOLDER REPORT`: opens every published file below FOLDER, over
and over, until its standard input ends; writes what it could not read, and how much it read.

It is a process of its own, as a notebook or a report's reader is: what it sees is what they see.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq


def open_whole(path: Path) -> None:
    """Read a published file to its end; raises when it is cut off."""
    if path.suffix == ".parquet":
        pq.ParquetFile(path).read()
    elif path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            for name in arrays.files:
                arrays[name]
    elif path.suffix == ".json":
        json.loads(path.read_text(encoding="utf-8"))
    elif path.suffix == ".html":
        if not path.read_text(encoding="utf-8").rstrip().endswith("</html>"):
            raise ValueError("the page has no end")
    elif path.suffix == ".duckdb":
        duckdb.connect(str(path), read_only=True).close()
    elif path.suffix in (".csv", ".txt"):
        if not path.read_text(encoding="utf-8").endswith("\n"):
            raise ValueError("the last line has no end")
    else:
        raise ValueError("nobody knows how to read this file")


def published(folder: Path) -> list[Path]:
    """Files of all lakes, registries and warehouses below a folder, less hidden ones."""
    found = []
    for place, folders, files in os.walk(folder):  # what is removed meanwhile is passed over
        folders[:] = [name for name in folders if not name.startswith(".")]
        parts = Path(place).relative_to(folder).parts
        if parts[1:2] == ("lake",) or parts[1:3] == ("data", "registry"):
            found += [Path(place, x) for x in files if not x.startswith(".") and x[-5:] != ".lock"]
        elif len(parts) == 1 and "warehouse.duckdb" in files:
            found.append(Path(place, "warehouse.duckdb"))
    return found


def main(folder: Path, report: Path) -> None:
    seen: dict[Path, tuple[int, int, int]] = {}
    opened, broken = 0, []
    while not select.select([sys.stdin], [], [], 0.02)[0]:
        for path in published(folder):
            try:
                stat = path.stat()
                state = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
                if seen.get(path) == state:
                    continue
                open_whole(path)
                seen[path] = state
                opened += 1
            except FileNotFoundError:
                continue  # removed since it was listed
            except Exception as error:
                broken.append(f"{path.relative_to(folder)}: {type(error).__name__}: {error}")
        time.sleep(0.01)
    report.write_text(json.dumps({"opened": opened, "broken": broken}), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
