"""Counts of an export by plain SQL over its raw shards, written apart from the product.

Everything is spelled out the long way: no step of the product is imported, so that an error in one
cannot hide in the other.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

DATA = Path(__file__).parents[2] / "data"
SHIPPED = DATA / "lipidomics_export"
SHIPPED_LIBS = (100, 101, 109)


@dataclass(frozen=True)
class Export:
    """One library of an export folder."""

    folder: Path
    lib: int
    metadata: Path
    comp_chem: Path
    species_column: str = "species_matrix_type"
    group_column: str = "group"

    @property
    def peaks(self) -> str:
        return str(self.folder / "create_training_data" / f"lib_id={self.lib}" / "*" / "*.parquet")

    @property
    def covariates(self) -> str:
        return str(self.folder / "combine_predictors" / f"lib_id={self.lib}" / "*" / "*.parquet")


@dataclass(frozen=True)
class Counts:
    """Counts of one library; all but `raw` are of complete rows with covariates."""

    raw: int
    complete: int
    runs: int
    sample_sets: int
    species: int
    supercategories: int
    comps: int
    pairs: int


def export_in(folder: Path, lib: int) -> Export:
    """A library of a folder in the shipped layout."""
    return Export(
        folder,
        lib,
        folder / "metadata" / f"sample_sets_lib{lib}.csv",
        folder / "mappings" / f"lib_comp_chem_mapping_lib{lib}.csv",
    )


def shipped(lib: int) -> Export:
    """A shipped library."""
    return export_in(SHIPPED, lib)


def raw_rows(export: Export) -> int:
    """Peak rows of all shards."""
    with duckdb.connect() as db:
        return _number(db, f"SELECT count(*) FROM {_parquet(export.peaks)}")


def rows_by_fate(export: Export) -> dict[str, int]:
    """Peak rows by the first reason to refuse them; ``kept`` counts those that go on."""
    with duckdb.connect() as db:
        _judge(db, export)
        return dict(db.sql("SELECT fate, count(*) FROM judged GROUP BY 1 ORDER BY 1").fetchall())


def counts(export: Export) -> Counts:
    """All counts of a library; every sample set must be listed once in the metadata."""
    with duckdb.connect() as db:
        _complete(db, export)
        (row,) = db.sql(
            """
            SELECT count(*), count(DISTINCT (set_id, worksheet, task)), count(DISTINCT set_id),
                   count(DISTINCT species), count(DISTINCT grp), count(DISTINCT comp),
                   count(DISTINCT (species, comp))
            FROM complete"""
        ).fetchall()
    return Counts(raw_rows(export), *row)


def pair_rows(
    export: Export, folds: Mapping[int, str] | None = None, fold: str = "train"
) -> dict[tuple[str, int], int]:
    """Complete rows of every (species label, comp); of one fold's sample sets when given."""
    with duckdb.connect() as db:
        _complete(db, export, folds, fold)
        rows = db.sql("SELECT species, comp, count(*) FROM complete GROUP BY 1, 2").fetchall()
    return {(species, comp): n for species, comp, n in rows}


def rows_at_cap(export: Export, cap: int, folds: Mapping[int, str] | None = None) -> int:
    """Rows kept at a cap: the sum of min(rows, cap) over pairs, of training sample sets only.

    Parameters
    ----------
    folds : ``train`` or ``test`` by sample set; None when nothing is held out.
    """
    return sum(min(n, cap) for n in pair_rows(export, folds).values())


def rows_of_fold(export: Export, folds: Mapping[int, str], fold: str = "test") -> int:
    """Complete rows of the sample sets of one fold."""
    return sum(pair_rows(export, folds, fold).values())


def chemicals(export: Export) -> dict[int, int]:
    """Chemical of every comp that has one."""
    with duckdb.connect() as db:
        return dict(
            db.sql(
                f"SELECT CAST(comp_id AS BIGINT), CAST(chemical_id AS BIGINT) "
                f"FROM {_csv(export.comp_chem)} WHERE chemical_id IS NOT NULL "
                f"AND CAST(lib_id AS BIGINT) = {export.lib}"
            ).fetchall()
        )


def chemistry_at_cap(
    export: Export,
    cap: int,
    with_class: Collection[int],
    folds: Mapping[int, str] | None = None,
) -> tuple[int, int, int]:
    """Rows at a cap: all, those with a chemical, those whose chemical has a class.

    Parameters
    ----------
    with_class : chemical ids that have a class.
    """
    chemical = chemicals(export)
    classed = {comp for comp, chem in chemical.items() if chem in set(with_class)}
    kept = [(comp, min(n, cap)) for (_, comp), n in pair_rows(export, folds).items()]
    return (
        sum(n for _, n in kept),
        sum(n for comp, n in kept if comp in chemical),
        sum(n for comp, n in kept if comp in classed),
    )


def chemicals_with_smiles(structures: Path) -> set[int]:
    """Ids of the chemicals that have a structure."""
    with duckdb.connect() as db:
        query = f"SELECT chem_id FROM {_parquet(str(structures))} WHERE smiles IS NOT NULL"
        return {chem for (chem,) in db.sql(query).fetchall()}


def covariate_nulls(export: Export) -> dict[str, int]:
    """Null cells of every covariate over all runs of the export."""
    with duckdb.connect() as db:
        source = _parquet(export.covariates)
        columns = [
            name
            for name in db.sql(f"FROM {source}").columns
            if name.startswith(("IS", "RS", "ES_"))
        ]
        nulls = ", ".join(f'count(*) - count("{name}")' for name in columns)
        (row,) = db.sql(f"SELECT {nulls} FROM {source}").fetchall()
    return dict(zip(columns, row, strict=True))


def runs_with_covariates(export: Export) -> int:
    """Distinct (sample set, task, label) of the covariate shards; the label is the folder's."""
    with duckdb.connect() as db:
        return _number(
            db,
            "SELECT count(DISTINCT (sample_set_id, task_id, "
            "split_part(split_part(filename, 'species_matrix_type=', 2), '/', 1))) FROM "
            f"read_parquet('{export.covariates}', hive_partitioning = false, filename = true)",
        )


def listed_sample_sets(export: Export) -> int:
    """Lines of the metadata."""
    with duckdb.connect() as db:
        return _number(db, f"SELECT count(*) FROM {_csv(export.metadata)}")


def sample_sets(export: Export) -> list[int]:
    """Sample sets with complete rows, ascending."""
    with duckdb.connect() as db:
        _complete(db, export)
        return [n for (n,) in db.sql("SELECT DISTINCT set_id FROM complete ORDER BY 1").fetchall()]


def _parquet(glob: str) -> str:
    return f"read_parquet('{glob}', hive_partitioning = false, union_by_name = true)"


def _csv(path: Path) -> str:
    return f"read_csv('{path}', header = true, all_varchar = true)"


def _number(db: duckdb.DuckDBPyConnection, query: str) -> int:
    ((number,),) = db.sql(query).fetchall()
    return int(number)


def _judge(db: duckdb.DuckDBPyConnection, export: Export) -> None:
    """Make the table `judged`: every peak with its fate."""
    db.sql(
        f"""
        CREATE TABLE peak AS
        SELECT row_number() OVER () AS n, cpd_status, sample_type, species_matrix_type AS label,
               CAST(sample_set_id AS DOUBLE) AS set_id, CAST(task_id AS DOUBLE) AS task,
               CAST(worksheet_id AS DOUBLE) AS worksheet, CAST(correct AS DOUBLE) AS comp,
               CAST(apex_rt AS DOUBLE) AS rt
        FROM {_parquet(export.peaks)}"""
    )
    db.sql(
        f"""
        CREATE TABLE run AS
        SELECT DISTINCT CAST(sample_set_id AS DOUBLE) AS set_id, CAST(task_id AS DOUBLE) AS task,
               split_part(split_part(filename, 'species_matrix_type=', 2), '/', 1) AS label
        FROM read_parquet('{export.covariates}', hive_partitioning = false, filename = true)"""
    )
    db.sql("CREATE TABLE judged AS SELECT *, CAST(NULL AS VARCHAR) AS fate FROM peak")
    rules = (
        (
            "status_not_kept",
            "cpd_status IS NULL OR (cpd_status <> 'Complete' AND cpd_status <> 'Complete - NFS')",
        ),
        ("sample_type_excluded", "sample_type = 'PRCS'"),
        (
            "key_unreadable",
            "set_id IS NULL OR task IS NULL OR worksheet IS NULL OR label IS NULL",
        ),
        ("comp_unreadable", "comp IS NULL OR comp <> floor(comp)"),
        ("rt_not_finite", "rt IS NULL OR isnan(rt) OR isinf(rt)"),
        ("rt_not_positive", "rt <= 0"),
        (
            "run_without_covariates",
            "NOT EXISTS (FROM run WHERE run.set_id = judged.set_id AND run.task = judged.task "
            "AND run.label = judged.label)",
        ),
        (
            "conflicting_peaks",
            "EXISTS (FROM judged AS other WHERE other.fate IS NULL AND other.rt <> judged.rt "
            "AND other.set_id = judged.set_id AND other.worksheet = judged.worksheet "
            "AND other.task = judged.task AND other.comp = judged.comp)",
        ),
        (
            "duplicate_row",
            "EXISTS (FROM judged AS other WHERE other.fate IS NULL AND other.n < judged.n "
            "AND other.set_id = judged.set_id AND other.worksheet = judged.worksheet "
            "AND other.task = judged.task AND other.comp = judged.comp)",
        ),
        ("kept", "true"),
    )
    for fate, rule in rules:
        db.execute(f"UPDATE judged SET fate = '{fate}' WHERE fate IS NULL AND ({rule})")


def _complete(
    db: duckdb.DuckDBPyConnection,
    export: Export,
    folds: Mapping[int, str] | None = None,
    fold: str = "train",
) -> None:
    """Make the table `complete`: peaks that go on, with the species of their sample set."""
    _judge(db, export)
    db.sql("CREATE TABLE fold_of (set_id BIGINT, fold VARCHAR)")
    if folds:
        db.executemany("INSERT INTO fold_of VALUES (?, ?)", [list(item) for item in folds.items()])
    db.sql(
        f"""
        CREATE TABLE complete AS
        SELECT CAST(judged.set_id AS BIGINT) AS set_id, CAST(worksheet AS BIGINT) AS worksheet,
               CAST(task AS BIGINT) AS task, CAST(comp AS BIGINT) AS comp, rt, species, grp
        FROM judged
        JOIN (SELECT CAST(sample_set_id AS BIGINT) AS set_id,
                     "{export.species_column}" AS species, "{export.group_column}" AS grp
              FROM {_csv(export.metadata)}) AS listed ON listed.set_id = judged.set_id
        WHERE fate = 'kept'"""
    )
    if folds is not None:
        db.execute(
            "DELETE FROM complete WHERE set_id NOT IN "
            f"(SELECT set_id FROM fold_of WHERE fold = '{fold}')"
        )
