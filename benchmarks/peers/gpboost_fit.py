"""The mixed model of ``mixed_models.py`` in GPBoost: reads a CSV, writes one JSON object.

Run by a Python that has gpboost; needs nothing else but NumPy. Only the fit is timed. The third
argument is ``shipped`` or ``converged``. As shipped, GPBoost 1.8 estimates the likelihood of
crossed groups by random vectors and climbs that; converged, it takes the exact Cholesky factor and
goes on until nothing changes (without the restarts its line search gives up nats below the top).
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import gpboost
import numpy as np

CONVERGED = {"delta_rel_conv": 1e-12, "max_num_restarts_lbfgs": 5}


def main(source: Path, target: Path, way: str) -> None:
    """Fit the rows of `source`, write what was found to `target`."""
    with source.open(encoding="utf-8") as lines:
        names = next(lines).strip().replace('"', "").split(",")
        table = np.loadtxt(lines, delimiter=",", ndmin=2)
    # whole columns: GPBoost 1.8 misreads views with strides
    columns = dict(zip(names, np.ascontiguousarray(table.T), strict=True))
    levels = ("supercategory", "species", "comp", "pair")
    groups = np.column_stack([columns[name].astype(np.int64) for name in levels])
    standards = [columns[name] for name in names if name.startswith("x")]
    fixed = np.column_stack([np.ones(groups.shape[0]), *standards])
    begin = time.process_time()
    exact = {"matrix_inversion_method": "cholesky"} if way == "converged" else {}
    model = gpboost.GPModel(group_data=groups, likelihood="gaussian", **exact)
    model.fit(y=columns["y"], X=fixed, params=CONVERGED if exact else {})
    spent = time.process_time() - begin
    sd = np.sqrt(np.ravel(np.asarray(model.get_cov_pars(), dtype=np.float64))[:5])
    found = dict(zip(("sigma_y", "tau_mu_super", "tau_mu", "tau_comp", "tau_b"), sd, strict=True))
    result = {
        "version": gpboost.__version__,
        "cpu_seconds": spent,
        "log_likelihood": -float(model.get_current_neg_log_likelihood()),
        "sd": {name: float(value) for name, value in found.items()},
    }
    target.write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
