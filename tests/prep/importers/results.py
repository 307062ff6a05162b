"""The same results, known exactly, as an export and as files of every program.

Retention times are multiples of 1/64 min, so that they are exact in seconds and in decimal text.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from compassign_core.pipeline.make import make
from compassign_core.pipeline.stages import ARTIFACTS
from compassign_core.simulate import layout
from compassign_core.store.lake import Partition
from compassign_core.store.project import Project

NATIVE, LIB = 900, 901
STEPS = ("export_manifest", "imported_names", "imported_peaks", "run_covariates", "lib_training")
SPECIES = {11: "human plasma", 12: "mouse, liver", 13: "human plasma", 14: "mouse, liver"}
COMPOUNDS = {
    70: ("PC 34:1", "PC"),
    71: ("Cer d18:1/16:0", "Cer"),
    72: ('α-Tocopherol, "E"', "vitamins"),
    73: ("1,2-DG 36:2", "DG"),
    74: ("SM; 42:2 [M+H]+", "SM"),
}
STANDARDS = ("LPC 18:1 (d7)", "TG 48:1 (d7)")
PATTERN = r"^S(?P<sample_set>\d+)_W(?P<worksheet>\d+)_(?P<injection>\d+)$"


@dataclass(frozen=True)
class Run:
    sample_set: int
    worksheet: int
    task: int

    @property
    def name(self) -> str:
        return f"S{self.sample_set}_W{self.worksheet}_{self.task}"


RUNS = [Run(11 + n // 2, 1 + n // 3, 101 + n) for n in range(8)]


@dataclass(frozen=True)
class Peak:
    """A cell of the results; `rt` in minutes, None where nothing was found."""

    run: Run
    name: str
    group: str
    rt: float | None
    area: float | None


def peaks() -> list[Peak]:
    """Every compound and standard in every run, some not found."""
    names = [(name, group) for name, group in COMPOUNDS.values()]
    names += [(name, "standards") for name in STANDARDS]
    made = []
    for r, run in enumerate(RUNS):
        for c, (name, group) in enumerate(names):
            absent = (r + 2 * c) % 7 == 6
            rt = None if absent else 1.5 + c + (13 * r + 5 * c) % 11 / 64
            made.append(Peak(run, name, group, rt, None if absent else 1000.0 + 7 * r + c))
    return made


def runs_with_standards(given: Iterable[Peak]) -> set[Run]:
    return {p.run for p in given if p.name in STANDARDS and p.rt is not None}


# -- the export --------------------------------------------------------------------------


def write_export(folder: Path, given: list[Peak]) -> None:
    ids = {name: comp for comp, (name, _) in COMPOUNDS.items()}
    for group in {group for _, group in COMPOUNDS.values()}:
        rows = [p for p in given if p.group == group and p.name in ids and p.rt is not None]
        table = pa.table(
            {
                "sample_set_id": [str(p.run.sample_set) for p in rows],
                "task_id": pa.array([p.run.task for p in rows], pa.int64()),
                "worksheet_id": pa.array([p.run.worksheet for p in rows], pa.int64()),
                "species_matrix_type": [SPECIES[p.run.sample_set] for p in rows],
                "correct": pa.array([ids[p.name] for p in rows], pa.int64()),
                "apex_rt": pa.array([p.rt for p in rows], pa.float64()),
            }
        )
        layout.write_shard(
            layout.peak_folder(folder, NATIVE) / f"group={group}" / "part-0.parquet", table
        )
    found = {(p.run, p.name): p.rt for p in given}
    for species in sorted(set(SPECIES.values())):
        known = runs_with_standards(given)
        runs = [r for r in RUNS if SPECIES[r.sample_set] == species and r in known]
        columns = {
            "sample_set_id": pa.array([str(r.sample_set) for r in runs]),
            "task_id": pa.array([r.task for r in runs], pa.int64()),
        }
        for name in STANDARDS:
            columns[f"IS_{name}"] = pa.array([found[r, name] for r in runs], pa.float64())
        place = layout.covariate_folder(folder, NATIVE) / f"species_matrix_type={species}"
        layout.write_shard(place / "part-0.parquet", pa.table(columns))


def write_lists(folder: Path) -> None:
    """Lists of sample sets, compounds and chemicals by id, and of samples by name."""
    sets = [["sample_set_id", "species_matrix_type", "group"]]
    sets += [[number, species, "blood"] for number, species in SPECIES.items()]
    write_csv(folder / "sets.csv", sets)
    chemicals = [["comp_id", "chemical_id"], *([comp, comp - 69] for comp in COMPOUNDS)]
    write_csv(folder / "chemicals.csv", chemicals)
    entries = [["comp_id", "feature_name"]]
    entries += [[comp, name] for comp, (name, _) in COMPOUNDS.items()]
    write_csv(folder / "compounds.csv", entries)
    write_csv(folder / "samples.csv", [["run", "species"], *_species_of_runs()])
    smiles = ["CCO", "CCCCO", "c1ccccc1O", "CCCCCC(=O)O", "CC(N)C(=O)O"]
    structures = {"chem_id": [1, 2, 3, 4, 5], "chem_name": list("abcde"), "smiles": smiles}
    layout.write_shard(layout.structures_file(folder), pa.table(structures))


def _species_of_runs() -> list[list[object]]:
    return [[run.name, SPECIES[run.sample_set]] for run in RUNS]


def write_csv(path: Path, rows: Iterable[Iterable[object]], **how: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(csv_bytes(rows, **how))  # type: ignore[arg-type]


def csv_bytes(
    rows: Iterable[Iterable[object]],
    delimiter: str = ",",
    encoding: str = "utf-8",
    end: str = "\n",
    comma: bool = False,
) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end)
    for row in rows:
        cells = [str(c).replace(".", ",") if comma and isinstance(c, float) else c for c in row]
        writer.writerow(cells)
    return text.getvalue().encode(encoding)


# -- the files of every program ----------------------------------------------------------


def skyline_rows(given: list[Peak]) -> list[list[object]]:
    """Two transitions each; the smaller one lies elsewhere and must not be taken."""
    header = "Replicate Name,Molecule List Name,Molecule Name,Precursor Mz,Product Mz"
    rows: list[list[object]] = [f"{header},Retention Time,Area,Isotope Label Type".split(",")]
    for p in given:
        label = "heavy" if p.name in STANDARDS else "light"
        head = [p.run.name, p.group, p.name, 760.585, 184.07]
        if p.rt is None:
            rows.append([*head, "#N/A", "#N/A", label])
            continue
        rows.append([*head, p.rt + 0.25, (p.area or 0) / 2, label])
        rows.append([*head, p.rt, p.area, label])
    return rows


def long_rows(given: list[Peak]) -> list[list[object]]:
    rows: list[list[object]] = [["acquisition", "lipid", "class", "time", "state"]]
    rows += [[p.run.name, p.name, p.group, "" if p.rt is None else p.rt, "Complete"] for p in given]
    return rows


def masshunter_long_rows(given: list[Peak]) -> list[list[object]]:
    rows: list[list[object]] = [["Data File", "Type", "Compound Name", "RT", "Resp."]]
    rows += [[f"{p.run.name}.d", "Sample", p.name, _cell(p.rt), _cell(p.area)] for p in given]
    return rows


def masshunter_batch_rows(given: list[Peak]) -> list[list[object]]:
    """A row per sample, a block per compound, with a method and a qualifier to be passed over."""
    names = list(dict.fromkeys(p.name for p in given))
    found = {(p.run, p.name): p for p in given}
    top: list[object] = ["Sample", "", "", ""]
    second: list[object] = ["", "Name", "Data File", "Type"]
    for name in names:
        top += [f"{name} Method", f"{name} Results", "", "Qualifier (1.0 -> 2.0) Results"]
        second += ["RT", "RT", "Area", "RT"]
    rows = [top, second]
    for run in dict.fromkeys(p.run for p in given):
        cells: list[object] = ["!", "sample", f"{run.name}.d", "Sample"]
        for name in names:
            p = found[run, name]
            cells += [9.9, _cell(p.rt), _cell(p.area), 8.8]
        rows.append(cells)
    return rows


def masshunter_compound_rows(given: list[Peak]) -> list[list[object]]:
    """A row per compound, a block per sample."""
    runs = list(dict.fromkeys(p.run for p in given))
    found = {(p.run, p.name): p for p in given}
    top: list[object] = ["Compound Method", ""]
    second: list[object] = ["Name", "Transition"]
    for run in runs:
        top += [run.name, ""]
        second += ["RT", "Area"]
    rows = [top, second]
    for name in dict.fromkeys(p.name for p in given):
        cells: list[object] = [name, "1 -> 2"]
        for run in runs:
            cells += [_cell(found[run, name].rt), _cell(found[run, name].area)]
        rows.append(cells)
    return rows


def targetlynx_text(given: list[Peak], by: str = "Compound") -> str:
    """The sectioned text export, by compound or by sample."""
    lines = ["Quantify Compound Summary Report", "", "Printed Fri Sep 20 14:23:33 2019", ""]

    def of(p: Peak) -> tuple[str, str]:
        return (p.name, p.run.name) if by == "Compound" else (p.run.name, p.name)

    for number, title in enumerate(dict.fromkeys(of(p)[0] for p in given), start=1):
        lines += [f"{by} {number}:  {title}", "", "\tName\tType\tStd. Conc\tRT\tArea\tIS Area"]
        rows = [p for p in given if of(p)[0] == title]
        lines += [
            f"{n}\t{of(p)[1]}\tAnalyte\t\t{_cell(p.rt)}\t{_cell(p.area)}\t"
            for n, p in enumerate(rows, start=1)
        ]
        lines.append("")
    return "\r\n".join(lines)


def mztab_text(given: list[Peak]) -> str:
    """One file with all runs, and each run's time in an optional column."""
    runs = list(dict.fromkeys(p.run for p in given))
    found = {(p.run, p.name): p for p in given}
    lines = ["MTD\tmzTab-version\t2.0.0-M", "MTD\tmzTab-ID\tstudy 1"]
    for n, run in enumerate(runs, start=1):
        lines += [
            f"MTD\tms_run[{n}]-location\tfile:///data/{run.name}.mzML",
            f"MTD\tassay[{n}]\t{run.name}",
            f"MTD\tassay[{n}]-ms_run_ref\tms_run[{n}]",
            f"MTD\tassay[{n}]-sample_ref\tsample[{n}]",
            f"MTD\tsample[{n}]-species[1]\t[NCBITaxon, NCBITaxon:1, {n} a species, ]",
        ]
    names = list(dict.fromkeys(p.name for p in given))
    lines += ["", "SMH\tSML_ID\tSMF_ID_REFS\tdatabase_identifier\tchemical_name"]
    lines += [f"SML\t{n}\t{n}|{n + 100}\tnull\t{name}" for n, name in enumerate(names, start=1)]
    columns = [f"abundance_assay[{n}]" for n in range(1, len(runs) + 1)]
    columns += [f"opt_assay[{n}]_retention_time" for n in range(1, len(runs) + 1)]
    lines += ["", "\t".join(["SFH", "SMF_ID", "adduct_ion", "retention_time_in_seconds", *columns])]
    for n, name in enumerate(names, start=1):
        cells = [found[run, name] for run in runs]
        times = ["null" if p.rt is None else repr(p.rt * 60) for p in cells]
        areas = ["null" if p.area is None else repr(p.area) for p in cells]
        lines.append("\t".join(["SMF", str(n), "[M+H]1+", "100.0", *areas, *times]))
        # the sodium adduct is smaller and elutes elsewhere
        areas = ["null" if p.area is None else "1.0" for p in cells]
        lines.append(
            "\t".join(["SMF", str(n + 100), "[M+Na]1+", "1.0", *areas, *["7.5"] * len(runs)])
        )
    lines.append("\t".join(["SMF", "999", "null", "1.0", *["5"] * len(runs), *["8.5"] * len(runs)]))
    return "\n".join([*lines, ""])


def _cell(number: float | None) -> object:
    return "" if number is None else number


# -- a project ---------------------------------------------------------------------------

HEAD = '[chemistry]\nstructures = "structures.parquet"\n\n'
NUMBERED = 'numbered = ["sample_set", "worksheet", "injection"]\n'
STANDARD_RULE = f"standards = [{{ names = {list(STANDARDS)!r} }}]\n"


def entry(lib: int, source: str, lists: str = "") -> str:
    return (
        f'[library.{lib}]\ntitle = "x"\nmetadata = "sets.csv"\ncomp_chem = "chemicals.csv"\n'
        f'compounds = "compounds.csv"\n{lists}prep.test_share = 0.4\n{source}\n'
    )


def imported(kind: str, files: str, more: str = "", standards: str = STANDARD_RULE) -> str:
    """The section of an import that gives the ids of the export."""
    return (
        f'[library.{LIB}.import]\nkind = "{kind}"\nfiles = {files}\nsamples = "samples.csv"\n'
        f"run_pattern = '{PATTERN}'\n{NUMBERED}{standards}{more}"
    )


def project_with(root: Path, section: str, given: list[Peak] | None = None) -> Project:
    """A project with the export (900) and an import (901) of the same results."""
    data = root / "data"
    data.mkdir(parents=True, exist_ok=True)
    write_lists(data)
    write_export(data, peaks() if given is None else given)
    text = HEAD + entry(NATIVE, 'export = "."') + entry(LIB, section)
    (data / "libraries.toml").write_text(text, encoding="utf-8")
    return Project(root, data)


def run_steps(project: Project, lib: int = LIB, steps: Iterable[str] = STEPS) -> None:
    assert set(steps) <= set(ARTIFACTS)
    for name in steps:
        make(project, name, Partition(lib))


def rows_of(project: Project, table: str, lib: int = LIB, without: str = "") -> list[tuple]:
    """Rows of a table, sorted, less some columns."""
    chosen = f"* EXCLUDE ({without})" if without else "*"
    source = project.lake.source(table, Partition(lib))
    query = f"SELECT {chosen} FROM {source} ORDER BY ALL"
    return project.lake.connection.execute(query).fetchall()


def columns_of(project: Project, table: str, lib: int = LIB) -> list[str]:
    source = project.lake.source(table, Partition(lib))
    found = project.lake.connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
    return [row[0] for row in found]


Change = Callable[[list[Peak]], list[Peak]]


def shifted(peak: Peak, by: float) -> Peak:
    assert peak.rt is not None
    return replace(peak, rt=peak.rt + by)
