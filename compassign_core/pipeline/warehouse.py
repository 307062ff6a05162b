"""The warehouse: views over the lake for notebooks, `compassign sql` and reports."""

from compassign_core.pipeline.artifacts import FileResult, file_artifact
from compassign_core.store.lake import Partition
from compassign_core.store.project import Project
from compassign_core.store.warehouse import build_warehouse, opens, views_of


def _state(project: Project, _partition: Partition) -> dict[str, str]:
    """What makes it stale: a table that has come or gone, and a database lost or damaged."""
    return {
        "views": ", ".join(views_of(project.root / "lake")),
        project.warehouse.name: "opens" if opens(project.warehouse) else "does not open",
    }


@file_artifact(
    file="views.txt",
    dimensions=(),
    group="warehouse",
    packages=(),
    kinds={"duckdb", "view"},
    inputs=_state,
)
def warehouse(project: Project, partition: Partition) -> FileResult:
    """One read-only DuckDB file with a view for every table of the lake, all partitions together.

    New partitions appear in the views by themselves; make it again when a new table appears.
    """
    names = build_warehouse(project.root / "lake", project.warehouse)
    return FileResult(
        lambda path: path.write_text("\n".join(names) + "\n", encoding="utf-8"),
        {"views": len(names), "database": project.warehouse.name},
        f"{len(names)} views",
    )
