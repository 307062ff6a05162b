"""Reading a manifest back: which files have a role, and SQL text that reads them."""

from __future__ import annotations

from pathlib import Path

import duckdb

from compassign_core.contracts.errors import InputError
from compassign_core.contracts.identifiers import quote_text


def files(
    connection: duckdb.DuckDBPyConnection, manifest: str, role: str, folder: Path
) -> list[Path]:
    """Paths of the files with a role, sorted; empty when the export has none."""
    found = connection.execute(
        f"SELECT path FROM {manifest} WHERE role = ? ORDER BY path", [role]
    ).fetchall()
    return [folder / row[0] for row in found]


def shards(connection: duckdb.DuckDBPyConnection, manifest: str, role: str, folder: Path) -> str:
    """SQL text that reads all Parquet files of a role, with the column ``filename``.

    Raises
    ------
    InputError
        when a file of the manifest has gone since it was listed.
    """
    paths = files(connection, manifest, role, folder)
    gone = [path.relative_to(folder).as_posix() for path in paths if not path.is_file()]
    if gone:
        raise InputError(
            f"{gone[0]} was listed in the manifest but is gone ({len(gone)} such files).",
            "materialise export_manifest again, then this table.",
        )
    listed = ", ".join(quote_text(str(path)) for path in paths)
    return (
        f"read_parquet([{listed}], hive_partitioning = false, union_by_name = true, "
        "filename = true)"
    )


def csv_file(
    connection: duckdb.DuckDBPyConnection, manifest: str, role: str, folder: Path
) -> Path | None:
    """The one CSV file of a role, or None."""
    found = files(connection, manifest, role, folder)
    return found[0] if found else None


def need_csv_file(
    connection: duckdb.DuckDBPyConnection, manifest: str, role: str, folder: Path
) -> Path:
    """The one CSV file of a role; raises `InputError` when the manifest lists none."""
    file = csv_file(connection, manifest, role, folder)
    if file is None:
        raise InputError(
            f"the export manifest lists no {role} file.",
            f"name one as `{role}` in libraries.toml and materialise export_manifest again.",
        )
    return file


def shown_path(folder: Path, column: str = "filename") -> str:
    """SQL that makes DuckDB's ``filename`` relative to the data folder."""
    prefix = f"{folder.as_posix().rstrip('/')}/"
    return f"substr({column}, {len(prefix) + 1})"
