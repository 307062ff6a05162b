"""Where the files of a library export stand, and how one is written.

The layout is that of the shipped exports, see `data/README.md`.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq


def peak_folder(folder: Path, lib: int) -> Path:
    """Folder of a library's peaks, one folder a compound group in it."""
    return folder / "create_training_data" / f"lib_id={lib}"


def covariate_folder(folder: Path, lib: int) -> Path:
    """Folder of a library's covariates, one folder a species in it."""
    return folder / "combine_predictors" / f"lib_id={lib}"


def peak_shards(folder: Path, lib: int) -> list[Path]:
    """Find a library's peak files, sorted."""
    return sorted(peak_folder(folder, lib).glob("group=*/*.parquet"))


def covariate_shards(folder: Path, lib: int) -> list[Path]:
    """Find a library's covariate files, sorted."""
    return sorted(covariate_folder(folder, lib).glob("species_matrix_type=*/*.parquet"))


def metadata_file(folder: Path, lib: int) -> Path:
    """Name the list of sample sets with species and supercategory."""
    return folder / "metadata" / f"sample_sets_lib{lib}.csv"


def comp_chem_file(folder: Path, lib: int) -> Path:
    """Name the mapping of library entries to chemicals."""
    return folder / "mappings" / f"lib_comp_chem_mapping_lib{lib}.csv"


def structures_file(folder: Path) -> Path:
    """Name the file of chemicals with their structures."""
    return folder / "structures.parquet"


def write_shard(path: Path, table: pa.Table) -> None:
    """Write a Parquet file, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, compression="zstd")


def read_shard(path: Path) -> pa.Table:
    """Read one Parquet file; folder names do not become columns."""
    return pq.ParquetFile(path).read()


def write_csv(path: Path, table: pa.Table) -> None:
    """Write a CSV file, making its folder; text is quoted, the header is not, null is empty."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = pa_csv.WriteOptions(quoting_style="needed", quoting_header="none")
    pa_csv.write_csv(table, path, options)


def read_csv(path: Path) -> pa.Table:
    """Read a CSV file with every cell as text, an empty cell as null."""
    header = path.read_text(encoding="utf-8").splitlines()[0]
    names = [name.strip('"') for name in header.split(",")]
    options = pa_csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
    )
    return pa_csv.read_csv(path, convert_options=options)
