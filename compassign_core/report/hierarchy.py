"""What a report says of a hierarchical model: its scales, and how far species were pooled.

Here belong the numbers, made from the model's arrays; words and figures are elsewhere.
"""

from __future__ import annotations

import json

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from compassign_core.contracts.errors import InputError
from compassign_core.contracts.settings.pooling import PoolingSettings
from compassign_core.report.inputs import SPECIES_EFFECTS, ScalesCard
from compassign_core.rt.hierarchy.artifact import PoolingSummaries
from compassign_core.rt.hierarchy.scales import ScaleSet
from compassign_core.rt.model import Model
from compassign_core.rt.table import read_training

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def pooling_settings(model: PoolingSummaries) -> PoolingSettings:
    """Read the settings that a hierarchical model was trained with."""
    values = json.loads(model.settings)["pooling"]
    return PoolingSettings.parse(values, f"the settings of model {model.model}")


def scales_card(model: PoolingSummaries) -> ScalesCard:
    """Collect the fitted scales of a model with their priors, and its noise."""
    settings = pooling_settings(model)
    names = [str(name) for name in model.scale_names]
    supercategories = model.posterior.supercategories
    known = ScaleSet(
        settings, supercategories.size, model.feature_names.size > 0, "sigma_y" in names
    )
    prior = dict(zip(known.names, known.prior, strict=True))
    return ScalesCard(
        names=names,
        values=model.scales.tolist(),
        priors=[prior[name] for name in names],
        supercategories=supercategories.tolist(),
        noise=settings.noise,
        noise_sd=float(np.sqrt(np.median(model.posterior.noise_variance))),
        noise_scales=np.sqrt(model.noise_scale2).tolist(),
        noise_df=model.noise_df.tolist(),
    )


def species_effects(model: Model, rt_table: str, connection: duckdb.DuckDBPyConnection) -> pa.Table:
    """Mean intercept of each species, before and after pooling, as `SPECIES_EFFECTS`.

    Parameters
    ----------
    model : any trained model; without a hierarchy over species the table has no rows.
    rt_table : the table it was trained on, as SQL text.
    connection : the engine.

    Raises
    ------
    InputError
        when the table cannot be read as training rows, or is not what the model was trained on.
    """
    if not isinstance(model, PoolingSummaries) or not model.posterior.pooled:
        return SPECIES_EFFECTS.empty_table()
    # Rows in the order of the training, so that sums do not depend on the order of the file.
    rows, _ = read_training(rt_table, pooling_settings(model).design(), connection)
    posterior = model.posterior
    if not np.array_equal(rows.keys, posterior.keys):
        raise InputError(
            f"{rt_table} has {rows.keys.size} groups, and model {model.model} was trained on "
            f"{model.n_groups} others.",
            "train the model again on the table as it is.",
        )
    group = np.searchsorted(posterior.keys, rows.keys).repeat(rows.count)
    species = np.searchsorted(posterior.species, rows.ids["species"])
    _, comp = np.unique(rows.ids["comp_id"], return_inverse=True)
    comp = comp.reshape(-1)
    n_species, parent = posterior.species.size, posterior.supercat_of
    n = np.bincount(species, minlength=n_species)
    raw = _means(species, rows.y - _means(comp, rows.y, comp.max() + 1)[comp], n_species)
    line = np.einsum("np,np->n", rows.x, posterior.beta_mean[group, 1:])
    effect = posterior.group_levels[group]
    adjusted = _means(species, rows.y - effect - line, n_species)
    intercept = posterior.species_effects  # then of supercategories
    above = intercept[n_species + parent]
    siblings = np.bincount(parent)[parent]
    centre = np.bincount(parent, weights=n * raw) / np.bincount(parent, weights=n)
    columns = {
        "model": np.full(n_species, model.model, dtype=object),
        "species": posterior.species,
        "species_cluster": posterior.supercategories[parent],
        "n_train": n,
        "n_groups": np.diff(posterior.species_start),
        "raw": np.where(siblings > 1, raw - centre[parent], np.nan),
        "adjusted": adjusted - above,
        "posterior": intercept[:n_species] - above,
    }
    return pa.table(
        [pa.array(columns[f.name], f.type, from_pandas=True) for f in SPECIES_EFFECTS],
        schema=SPECIES_EFFECTS,
    )


def _means(code: Ints, values: Floats, size: int) -> Floats:
    """Mean of the values of each code, ``(size,)``, taken about the first value of all.

    Retention times of minutes would otherwise leave no digits for milliseconds.
    """
    origin = values[0]
    total = np.bincount(code, weights=values - origin, minlength=size)
    return np.asarray(origin + total / np.bincount(code, minlength=size))
