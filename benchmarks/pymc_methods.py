"""The exact fit against the same model under PyMC: mean-field ADVI and MAP.

Run ``python -m benchmarks.pymc_methods`` (needs the extra bayes); prints a table and writes JSON.
Data are drawn from the published model (one noise, slopes about N(m, sigma² / 3e-4)); two runs in
ten are held out, and rows of trained groups are scored.

- ``exact`` is the product's fit; from PyMC come the scales and everything above the groups as point
  values, from which groups follow in closed form, as published systems plug them in.
- ``advi_shipped`` is PyMC's default (mean-field, adagrad_window, 1e-3, default start) for 10,000
  steps of the model as it is published, one triangular solve a group, on PyTensor's C backend. Its
  seconds are measured on ``--shipped-steps`` steps and scaled to 10,000; its quality is that of
  10,000 steps of the same density from eigen-statistics under Numba, which follows the same path.
- ``advi_converged`` is that run carried on to ``--steps``; ``advi_settled`` says whether its loss
  moved by less than its noise over the last fifth.
- ``map`` is ``pm.find_MAP`` under Numba.

CPU seconds include compilation; ``ratio`` is to the exact fit with the same penalty.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pymc as pm
import pytensor
import pytensor.tensor as pt
from pytensor.tensor.slinalg import solve_triangular
from threadpoolctl import threadpool_limits

from compassign_core.contracts.settings.pooling import PoolingSettings
from compassign_core.rt.hierarchy.fit import Problem
from compassign_core.rt.hierarchy.noise import fit_model
from compassign_core.rt.hierarchy.posterior import export_posterior
from compassign_core.rt.hierarchy.predictive import locate, predict
from compassign_core.rt.hierarchy.scales import ScaleSet
from compassign_core.rt.hierarchy.train import make_problem, scale_set
from compassign_core.rt.hierarchy.tree import Embeddings
from compassign_core.rt.rows import TrainingRows
from compassign_core.rt.sampling.explicit import centred_offsets, explicit_model
from compassign_core.rt.sampling.mean_field import convergence

Floats = npt.NDArray[np.float64]

RESULTS = Path(__file__).resolve().parent / "results" / "pymc_methods.json"
PENALTY = 3e-4
SETTINGS = PoolingSettings(noise="global", lambda_slopes=PENALTY)
SUPERS, SPECIES, COMPS, FEATURES, DESCRIPTORS, RUNS = 5, 25, 100, 10, 20, 60
SHIPPED = 10_000
Z95 = 1.959963984540054


@dataclass(frozen=True)
class Data:
    """Rows to train on and rows to score, centred on the training mean."""

    train: TrainingRows
    test: TrainingRows
    embeddings: Embeddings


def generate(seed: int, rows: int, groups: int) -> Data:
    """About `rows` rows of `groups` groups, a quarter more drawn to be held out."""
    rng = np.random.default_rng(seed)
    sc = np.arange(SPECIES) % SUPERS
    w_s = 0.1 + rng.normal(size=(SUPERS, FEATURES)) * 0.05
    w_c = w_s[sc] + rng.normal(size=(SPECIES, FEATURES)) * 0.05
    mu = 6.0 + (rng.normal(size=SUPERS) * 0.03)[sc] + rng.normal(size=SPECIES) * 0.03
    z = rng.normal(size=(COMPS, DESCRIPTORS))
    alpha = z @ (rng.normal(size=DESCRIPTORS) * 0.2) + rng.normal(size=COMPS) * 0.3
    pairs = np.sort(rng.permutation(SPECIES * COMPS)[:groups])
    c, k = pairs // COMPS, pairs % COMPS
    sigma = 0.006
    b = mu[c] + alpha[k] + rng.normal(size=groups) * 0.01
    w = w_c[c] + rng.normal(size=(groups, FEATURES)) * sigma / np.sqrt(PENALTY)
    share = np.exp(rng.normal(0, 1.0, size=groups))
    count = np.maximum(np.round(1.25 * rows * share / share.sum()), 1).astype(np.int64)
    group = np.repeat(np.arange(groups), np.minimum(count, 4 * RUNS))
    run = rng.integers(0, RUNS, size=group.size)
    run_x = rng.normal(size=(SPECIES, RUNS, FEATURES)) * 0.05
    x = run_x[c[group], run]
    y = b[group] + np.einsum("ij,ij->i", x, w[group]) + rng.normal(size=group.size) * sigma
    out = run % 10 < 2
    centre = x[~out].mean(axis=0)

    def part(mask: npt.NDArray[np.bool_]) -> TrainingRows:
        g = group[mask]
        ids = {
            "species": c[g], "species_cluster": sc[c[g]], "comp_id": k[g], "compound": k[g],
            "compound_class": np.zeros(g.size, dtype=np.int64),
            "sampleset_id": c[g], "worksheet_id": run[mask], "task_id": run[mask],
        }  # fmt: skip
        return TrainingRows.of(ids, y[mask], x[mask] - centre, (c[g] << 32) + k[g])

    return Data(part(~out), part(out), Embeddings(np.arange(COMPS), z))


def scores(y: Floats, mean: Floats, variance: Floats) -> dict[str, float]:
    """RMSE and width in minutes, coverage of the 95 % window, log score in nats a row."""
    error = y - mean
    return {
        "rows": float(y.size),
        "rmse": float(np.sqrt(np.mean(error**2))),
        "cov95": float(np.mean(np.abs(error) <= Z95 * np.sqrt(variance))),
        "width95": float(np.mean(2.0 * Z95 * np.sqrt(variance))),
        "log_score": float(np.mean(-0.5 * (np.log(2 * np.pi * variance) + error**2 / variance))),
    }


def exact(data: Data, settings: PoolingSettings) -> tuple[Problem, dict[str, float]]:
    """Statistics, fit and export of the product, and its scores on rows of trained groups."""
    begin = time.process_time()
    problem = make_problem(data.train, "species", data.embeddings)
    fitted = fit_model(problem, scale_set(problem, settings))
    posterior = export_posterior(problem, fitted)
    spent = time.process_time() - begin
    ids = data.test.ids
    at = locate(posterior, *(ids[n] for n in ("species", "species_cluster", "comp_id", "compound")))
    found = predict(posterior, at, data.test.x)
    seen = at.group >= 0
    values = scores(data.test.y[seen], found.mean[seen], (found.variance + found.noise)[seen])
    sigma = float(np.sqrt(found.noise[0]))
    return problem, {"cpu": spent, "evaluations": fitted.evaluations, "sigma": sigma, **values}


def plugged_in(data: Data, problem: Problem, point: dict[str, Floats]) -> dict[str, float]:
    """Scores of groups in closed form from point values of scales and of all above the groups."""
    tree, train, test = problem.tree, data.train, data.test
    names = ScaleSet(SETTINGS, tree.sizes[2], True, True).names
    sd = dict(zip(names, np.exp(point["log_scales"]).tolist(), strict=True))
    sigma2, tau_b2 = sd["sigma_y"] ** 2, sd["tau_b"] ** 2
    h = np.concatenate(
        [
            (point["species_b"][tree.species_of] + point["alpha"][tree.comp_of])[:, None],
            point["species_w"][tree.species_of],
        ],
        axis=1,
    )  # about the compounds' offsets
    x1 = np.concatenate([np.ones((train.y.size, 1)), train.x], axis=1)
    of = np.repeat(np.arange(train.keys.size), train.count)
    rest = train.y - tree.offset[tree.comp_of[of]] - np.einsum("ij,ij->i", x1, h[of])
    xx = np.add.reduceat(x1[:, :, None] * x1[:, None, :], train.start)
    xr = np.add.reduceat(x1 * rest[:, None], train.start)
    precision = xx / sigma2
    prior = np.concatenate([[1.0 / tau_b2], np.full(FEATURES, PENALTY / sigma2)])
    precision[:, np.arange(FEATURES + 1), np.arange(FEATURES + 1)] += prior
    cov = np.linalg.inv(precision)
    beta = h + np.einsum("gab,gb->ga", cov, xr / sigma2)
    key = (test.ids["species"] << 32) + test.ids["comp_id"]
    at = np.minimum(np.searchsorted(train.keys, key), train.keys.size - 1)
    seen = train.keys[at] == key
    at, x1 = at[seen], np.concatenate([np.ones((seen.sum(), 1)), test.x[seen]], axis=1)
    offset = tree.offset[tree.comp_of[at]]
    variance = sigma2 + np.einsum("ia,iab,ib->i", x1, cov[at], x1)
    values = scores(test.y[seen], offset + np.einsum("ia,ia->i", x1, beta[at]), variance)
    return {"sigma": float(np.sqrt(sigma2)), **values}


def published_rows(data: Data, problem: Problem) -> Any:
    """The log density of the rows as published: a triangular solve of every group's own factor."""
    train, tree = data.train, problem.tree
    of = np.repeat(np.arange(train.keys.size), train.count)
    y = train.y - tree.offset[tree.comp_of[of]]
    n, x = train.count.astype(np.float64), train.x

    def summed(values: Floats) -> Floats:
        return np.asarray(np.add.reduceat(values, train.start))

    s_xx = summed(x[:, :, None] * x[:, None, :])
    factor = np.linalg.cholesky(s_xx + PENALTY * np.eye(FEATURES))
    logdet = 2.0 * np.log(np.einsum("gaa->ga", factor)).sum() - factor.shape[0] * FEATURES * np.log(
        PENALTY
    )
    s_x, s_xy, s_y, s_yy = summed(x), summed(x * y[:, None]), summed(y), summed(y**2)

    def density(_spectra: Any, tree: Any, sigma2: Any, _psi: Any, b: Any, slopes: Any) -> Any:
        m = slopes[tree.species_of]
        xx_m = pt.sum(s_xx * m[:, None, :], axis=2)
        r2 = s_yy - 2.0 * b * s_y + n * b**2 - 2.0 * pt.sum(m * s_xy, axis=1)
        r2 += 2.0 * b * pt.sum(m * s_x, axis=1) + pt.sum(m * xx_m, axis=1)
        s = s_xy - b[:, None] * s_x - xx_m
        v = solve_triangular(pt.as_tensor(factor), s, lower=True, b_ndim=1)
        sse = pt.maximum(r2 - pt.sum(v**2, axis=1), 0.0)
        return -0.5 * (pt.sum(n * pt.log(2 * np.pi * sigma2) + sse / sigma2) + logdet)

    return density


def cold_start(problem: Problem) -> dict[str, Floats]:
    """As published: the grand mean at the mean of the groups, everything else about it."""
    _, rest = centred_offsets(problem.tree)
    _, n_species, n_super, _ = problem.tree.sizes
    return {
        "root_b": np.array(0.0), "super_b": np.zeros(n_super), "species_b": np.zeros(n_species),
        "alpha": -rest, "b": -rest[problem.tree.comp_of],
    }  # fmt: skip


def point_of(approximation: Any) -> dict[str, Floats]:
    """Means of a mean-field approximation by variable."""
    flat = approximation.mean.eval()
    return {
        name: flat[where].reshape(shape)
        for name, where, shape, _ in approximation.ordering.values()
    }


def shipped_seconds(data: Data, problem: Problem, steps: int) -> dict[str, float]:
    """CPU seconds of PyMC's default ADVI on the published model, scaled to `SHIPPED` steps."""
    begin = time.process_time()
    model = explicit_model(problem, SETTINGS, rows=published_rows(data, problem))
    with model:
        inference = pm.ADVI(start=cold_start(problem), random_seed=1)
        inference.fit(2, progressbar=False)
        compiled = time.process_time() - begin
        begin = time.process_time()
        inference.refine(steps, progressbar=False)
    per_step = (time.process_time() - begin) / steps
    return {
        "cpu": compiled + SHIPPED * per_step, "cpu_compile": compiled,
        "seconds_per_step": per_step, "steps_measured": float(steps),
    }  # fmt: skip


def advi(data: Data, problem: Problem, steps: int) -> tuple[dict[str, float], dict[str, float]]:
    """Scores after `SHIPPED` steps and after `steps`, under Numba, with CPU seconds."""
    begin = time.process_time()
    done: list[dict[str, float]] = []
    with explicit_model(problem, SETTINGS):
        inference = pm.ADVI(start=cold_start(problem), random_seed=1)
        inference.fit(2, progressbar=False, compile_kwargs={"mode": "NUMBA"})
        compiled = time.process_time() - begin
        for target in (min(SHIPPED, steps), steps):
            inference.refine(target - inference.hist.size, progressbar=False)
            loss = np.asarray(inference.hist)
            drift = convergence(loss, max(loss.size // 5, 2))["elbo_drift"]
            done.append(
                {
                    "cpu": time.process_time() - begin, "cpu_compile": compiled,
                    "steps": float(loss.size), "loss": float(loss[-500:].mean()),
                    "settled": float(drift < 1.0), "drift": drift,
                    **plugged_in(data, problem, point_of(inference.approx)),
                }
            )  # fmt: skip
    return done[0], done[1]


def find_map(data: Data, problem: Problem, evaluations: int) -> dict[str, float]:
    """Scores at PyMC's joint mode, under Numba, with CPU seconds."""
    begin = time.process_time()
    with explicit_model(problem, SETTINGS), pytensor.config.change_flags(mode="NUMBA"):
        found = pm.find_MAP(
            start=cold_start(problem), progressbar=False, maxeval=evaluations, return_raw=True
        )
    spent = time.process_time() - begin
    values = plugged_in(data, problem, found[0])
    reason = found[1]
    made = {"cpu": spent, "settled": float(bool(reason and reason.success)), **values}
    return made | {"evaluations": float(reason.nfev) if reason else float(evaluations)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--groups", type=int, default=1_500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=100_000, help="of the converged ADVI")
    parser.add_argument("--shipped-steps", type=int, default=200, help="measured, then scaled")
    parser.add_argument("--map-evaluations", type=int, default=20_000)
    parser.add_argument("--json", type=Path, default=RESULTS)
    options = parser.parse_args()
    logging.getLogger("pymc").setLevel(logging.ERROR)
    results: dict[str, dict[str, float]] = {}
    with threadpool_limits(1):
        data = generate(options.seed, options.rows, options.groups)
        exact(data, SETTINGS)  # the first fit of a process pays for imports
        problem, results["exact"] = exact(data, SETTINGS)
        _, results["exact_learned"] = exact(data, PoolingSettings(noise="global"))
        report(results)
        early, late = advi(data, problem, options.steps)
        seconds = shipped_seconds(data, problem, options.shipped_steps)
        results["advi_shipped"] = early | seconds | {"cpu_numba": early["cpu"]}
        results["advi_converged"] = late
        report(results)
        results["map"] = find_map(data, problem, options.map_evaluations)
    report(results)
    shape = {"rows": data.train.y.size, "groups": data.train.keys.size, "features": FEATURES}
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({"shape": shape, **results}, indent=2) + "\n")


def report(results: dict[str, dict[str, float]]) -> None:
    """Print the table so far."""
    base = results["exact"]["cpu"]
    print(f"{'method':16s} {'CPU s':>9s} {'ratio':>8s} {'settled':>8s} {'sigma':>8s} {'RMSE':>8s} "
          f"{'Cov95':>6s} {'Width95':>8s} {'log score':>9s}")  # fmt: skip
    for name, r in results.items():
        print(f"{name:16s} {r['cpu']:9.2f} {r['cpu'] / base:8.0f} {r.get('settled', 1.0):8.0f} "
              f"{r['sigma']:8.5f} {r['rmse']:8.5f} {r['cov95']:6.3f} {r['width95']:8.4f} "
              f"{r['log_score']:9.3f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
