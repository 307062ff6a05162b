"""What the reference methods refuse, and what they ask to be installed."""

from __future__ import annotations

from typing import Any

import pytest

from compassign_core.contracts.errors import SettingsError
from compassign_core.contracts.settings.pooling import PoolingSettings
from compassign_core.contracts.settings.sampling import AdviSettings, SamplerSettings
from compassign_core.rt.sampling import extra


@pytest.mark.parametrize(
    ("values", "fields"),
    [
        ({"sampler": {"draws": 999}}, ("sampler", "method")),
        ({"method": "nuts", "advi": {"steps": 50_000}}, ("advi", "method")),
        ({"method": "advi", "slope_head_mode": "compound_supercat"}, ("method", "slope_head_mode")),
        ({"method": "advi", "advi": {"steps": 1000, "window": 900}}, ("window", "steps")),
        ({"method": "nuts", "sampler": {"chains": 1}}, ("sampler.chains",)),
    ],
)
def test_an_illegal_combination_names_its_fields(
    values: dict[str, Any], fields: tuple[str, ...]
) -> None:
    with pytest.raises(SettingsError) as caught:
        PoolingSettings.parse(values, "settings")
    assert all(field in caught.value.problem for field in fields)


def test_quick_presets_are_legal_and_quicker() -> None:
    quick = PoolingSettings(method="nuts", sampler=SamplerSettings.quick()).sampler
    usual = SamplerSettings()
    assert quick.chains * (quick.draws + quick.tune) < usual.chains * (usual.draws + usual.tune) / 5
    assert PoolingSettings(method="advi", advi=AdviSettings.quick()).advi.steps < 1000


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extra, "find_spec", lambda name: None if name == "pymc" else object())
    with pytest.raises(SettingsError) as caught:
        extra.require_pymc("nuts")
    assert "pymc" in caught.value.problem
    assert "arviz" not in caught.value.problem
    assert "compassign[bayes]" in caught.value.advice
