"""CPU seconds of the exact engine and of mixed-model packages on the model that they share.

Run ``python -m benchmarks.mixed_models``; prints a table and writes JSON. The model is the
hierarchy with random intercepts only, and with the standards as fixed effects (`--features`)::

    y ~ 1 + x + (1 | supercategory) + (1 | species) + (1 | comp) + (1 | species:comp)

The engine gets there with scales tied over supercategories, slopes held at a spread of 1e-5, no
prior density on the scales, and a prior of standard deviation 1,000 on the fixed effects, whose
share of the likelihood is taken off again; what is left is the restricted likelihood (REML). Every
package's optimum is judged by the engine's own likelihood, restricted and not, because lme4
climbs the one and GPBoost the other. What is timed is the fit, with statistics but without
reading files; `--limit` bounds the CPU seconds of a package.

lme4 is used when Rscript and the package are there (Debian: ``apt-get install r-cran-lme4``),
GPBoost when the interpreter `--gpboost-python` can import it (``pip install gpboost``, best in an
environment of its own); it runs as shipped, and with settings that reach the same optimum.
Neither is a dependency.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from compassign_core.contracts.settings.pooling import PoolingPriors, PoolingSettings
from compassign_core.rt.hierarchy.fit import Problem, find_mode, rough_sigma
from compassign_core.rt.hierarchy.scales import Noise, ScaleSet
from compassign_core.rt.hierarchy.train import make_problem
from compassign_core.rt.hierarchy.tree import Embeddings, Hierarchy
from compassign_core.rt.rows import TrainingRows

Floats = npt.NDArray[np.float64]

SIZES = {
    # supercategories, species, compounds, share of pairs, mean rows a group
    "small": (4, 12, 80, 0.6, 12.0),
    "medium": (10, 60, 600, 0.6, 12.0),
}
TRUTH = {"sigma_y": 0.0073, "tau_b": 0.03, "tau_comp": 1.0, "tau_mu": 0.02, "tau_mu_super": 0.05}
HELD_SPREAD = 1e-5
FIXED_SD = 1e3
PEERS = Path(__file__).resolve().parent / "peers"


def generate(size: str, features: int, seed: int) -> TrainingRows:
    """Rows of the model, in the order that training reads them."""
    n_super, n_species, n_comps, density, mean_rows = SIZES[size]
    rng = np.random.default_rng(seed)
    pairs = np.sort(rng.permutation(n_species * n_comps)[: int(density * n_species * n_comps)])
    c, k = pairs // n_comps, pairs % n_comps
    count = 1 + rng.poisson(mean_rows - 1.0, size=c.size)
    group = np.repeat(np.arange(c.size), count)
    supercategory = np.arange(n_species) % n_super
    mu = 4.0 + TRUTH["tau_mu_super"] * rng.normal(size=n_super)[supercategory]
    mu += TRUTH["tau_mu"] * rng.normal(size=n_species)
    alpha = TRUTH["tau_comp"] * rng.normal(size=n_comps)
    intercept = mu[c] + alpha[k] + TRUTH["tau_b"] * rng.normal(size=c.size)
    x = 0.03 * rng.normal(size=(group.size, features))
    slope = 0.7 / max(features, 1) + 0.05 * rng.normal(size=features)
    y = intercept[group] + x @ slope + TRUTH["sigma_y"] * rng.normal(size=group.size)
    zero = np.zeros(group.size, dtype=np.int64)
    ids = {
        "species": c[group],
        "species_cluster": supercategory[c[group]],
        "comp_id": k[group],
        "compound": k[group],
        "compound_class": zero,
        "sampleset_id": zero,
        "worksheet_id": zero,
        "task_id": np.arange(group.size),
    }
    start = np.concatenate([[0], np.cumsum(count)[:-1]])
    return TrainingRows(ids, y, x - x.mean(axis=0), (c << 32) + k, start, count)


@dataclass(frozen=True)
class TiedScales:
    """The scales of a mixed model within those of the hierarchy, without any prior density.

    Attributes
    ----------
    base : the hierarchy's scales.
    names : those that are fitted.
    at : which of them each scale of `base` takes, or -1 when it is held, ``(V,)``.
    """

    base: ScaleSet
    names: tuple[str, ...]
    at: npt.NDArray[np.int64]

    @classmethod
    def of(cls, tree: Hierarchy, features: int) -> TiedScales:
        """Those of a tree, with or without standards."""
        priors = PoolingPriors(t0_prior_sigma=FIXED_SD, w0_prior_sigma=FIXED_SD)
        settings = PoolingSettings(
            covariates="standards" if features else "none",
            slope_head_mode="cluster_supercat" if features else "none",
            chemistry=False,
            noise="global",
            priors=priors,
        )
        base = ScaleSet(settings, tree.sizes[2], features > 0, True)
        family = [name.split("[")[0] for name in base.names]
        names = tuple(name for name in TRUTH if name in family)
        at = np.array([names.index(f) if f in names else -1 for f in family])
        return cls(base, names, at)

    def spread(self, phi: Floats) -> Floats:
        """All log scales of the hierarchy, ``(V,)``."""
        return np.where(self.at < 0, math.log(HELD_SPREAD), phi[self.at])

    def gathered(self, values: Floats) -> Floats:
        """Sums over the scales that are one here."""
        free = self.at >= 0
        return np.asarray(np.bincount(self.at[free], values[free], len(self.names)), np.float64)

    def variances(self, phi: Floats, tree: Hierarchy, noise: Noise, features: int) -> Any:
        """As `ScaleSet.variances`."""
        return self.base.variances(self.spread(phi), tree, noise, features)

    def log_prior(self, phi: Floats) -> tuple[float, Floats]:
        """None."""
        return 0.0, np.zeros(phi.size)

    def chain(self, gradient: Any) -> Floats:
        """As `ScaleSet.chain`."""
        return self.gathered(self.base.chain(gradient))

    def start(self, sigma: float) -> Floats:
        """As `ScaleSet.start`."""
        full = self.base.start(sigma)
        return np.array([full[self.at == i][0] for i in range(len(self.names))])

    def information(self, tree: Hierarchy, rows: float, eigen_rows: int, features: int) -> Floats:
        """As `ScaleSet.information`."""
        return self.gathered(self.base.information(tree, rows, eigen_rows, features))


def likelihoods(problem: Problem, scales: TiedScales, sd: dict[str, float]) -> dict[str, float]:
    """Restricted (REML) and full log likelihood at standard deviations, by the engine."""
    phi = np.log([max(sd[name], 1e-6) for name in scales.names])
    done, moments = problem.evaluate(cast(ScaleSet, scales), phi, Noise())
    root, cov, prior = moments.root, moments.root_cov, FIXED_SD**2
    fixed = root.size
    restricted = done.log_marginal + 0.5 * fixed * math.log(2.0 * math.pi * prior)
    restricted += 0.5 * float(root @ root) / prior
    full = restricted - 0.5 * (fixed * math.log(2.0 * math.pi) + np.linalg.slogdet(cov)[1])
    return {"reml": float(restricted), "ml": float(full)}


def run_engine(rows: TrainingRows, features: int) -> tuple[Problem, TiedScales, dict[str, Any]]:
    """Statistics and fit of the exact engine."""
    begin = time.process_time()
    problem = make_problem(rows, "species", Embeddings.none())
    scales = TiedScales.of(problem.tree, features)
    start = scales.start(rough_sigma(problem.spectra))
    mode = find_mode(problem, cast(ScaleSet, scales), Noise(), start, tolerance=1e-3)
    spent = time.process_time() - begin
    sd = dict(zip(scales.names, np.exp(mode.phi).tolist(), strict=True))
    found = {"cpu_seconds": spent, "evaluations": mode.evaluations, "sd": sd}
    return problem, scales, found


def write_rows(rows: TrainingRows, path: Path) -> None:
    """The rows for the other packages, every digit of them."""
    group = np.repeat(np.arange(rows.keys.size), rows.count)
    ids = {"supercategory": "species_cluster", "species": "species", "comp": "comp_id"}
    columns: dict[str, Any] = {"y": rows.y, "pair": group}
    columns |= {name: rows.ids[column] for name, column in ids.items()}
    columns |= {f"x{j}": np.ascontiguousarray(rows.x[:, j]) for j in range(rows.x.shape[1])}
    pa.csv.write_csv(pa.table(columns), path)


def run_peer(command: list[str], rows: Path, limit: int) -> dict[str, Any]:
    """What a package reports, or why it does not."""
    target = rows.with_suffix(".json")
    target.unlink(missing_ok=True)
    threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}

    def bounded() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ran = subprocess.run(
        [*command[:2], str(rows), str(target), *command[2:]], env=os.environ | threads,
        preexec_fn=bounded, capture_output=True, text=True, check=False,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if target.is_file():
        return dict(json.loads(target.read_text(encoding="utf-8")))
    if spent >= limit:
        return {"missing": f"not finished in {limit} CPU seconds", "cpu_seconds": spent}
    return {"missing": "failed: " + (ran.stderr.strip().splitlines() or ["no message"])[-1]}


def peers(gpboost_python: str) -> dict[str, list[str] | str]:
    """Command of every package, or how to get it."""
    found: dict[str, list[str] | str] = {}
    rscript = shutil.which("Rscript")
    has = rscript and subprocess.run([rscript, "-e", "library(lme4)"], capture_output=True)
    if rscript and has and has.returncode == 0:
        found["lme4"] = [rscript, str(PEERS / "lme4.R")]
    else:
        found["lme4"] = "not installed; on Debian: apt-get install r-base-core r-cran-lme4"
    has = subprocess.run([gpboost_python, "-c", "import gpboost"], capture_output=True, check=False)
    if has.returncode == 0:
        script = str(PEERS / "gpboost_fit.py")
        found["gpboost"] = [gpboost_python, script, "shipped"]
        found["gpboost, exact"] = [gpboost_python, script, "converged"]
    else:
        found["gpboost"] = "not installed; pip install gpboost, and name that --gpboost-python"
    return found


def measure(size: str, features: int, seed: int, commands: dict[str, Any], limit: int) -> Any:
    """The engine, then every package on the same rows."""
    rows = generate(size, features, seed)
    problem, scales, engine = run_engine(rows, features)
    fits = {"engine": engine}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        write_rows(rows, path)
        for name, command in commands.items():
            known = isinstance(command, list)
            fits[name] = run_peer(command, path, limit) if known else {"missing": command}
    for fit in fits.values():
        if "sd" in fit:
            fit |= likelihoods(problem, scales, fit["sd"])
        if "cpu_seconds" in fit:
            fit["ratio"] = fit["cpu_seconds"] / engine["cpu_seconds"]
    shape = {"rows": int(rows.y.size), "groups": int(rows.keys.size)}
    return {"size": size, "features": features, **shape, "fits": fits}


def show(case: dict[str, Any]) -> None:
    print(
        f"{case['size']}: {case['rows']:,} rows, {case['groups']:,} groups, "
        f"{case['features']} standards as fixed effects"
    )
    best = case["fits"]["engine"]
    header = ("CPU s", "ratio", "evals", "REML", "its gap", "ML", "its gap")
    print(f"  {'':16s}" + "".join(f"{name:>14s}" for name in header))
    for name, fit in case["fits"].items():
        if "sd" not in fit:
            print(f"  {name:16s}  {fit['missing']}")
            continue
        numbers = [
            f"{fit['cpu_seconds']:.3f}",
            f"{fit['ratio']:.1f}",
            f"{fit.get('evaluations', '')}",
        ]
        for criterion in ("reml", "ml"):
            numbers += [f"{fit[criterion]:.4f}", f"{best[criterion] - fit[criterion]:.4f}"]
        print(f"  {name:16s}" + "".join(f"{number:>14s}" for number in numbers))
        if "log_likelihood" in fit:
            print(f"  {'':16s}  its own log likelihood {fit['log_likelihood']:.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=SIZES, nargs="+", default=list(SIZES))
    parser.add_argument("--features", type=int, nargs="+", default=[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, default=240, help="CPU seconds of one package's fit")
    parser.add_argument("--gpboost-python", default=sys.executable)
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/mixed_models.json"))
    options = parser.parse_args()
    commands = peers(options.gpboost_python)
    cases = []
    with threadpool_limits(1):
        for size in options.size:
            for features in options.features:
                cases.append(measure(size, features, options.seed, commands, options.limit))
                show(cases[-1])
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(cases, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
