"""Pages of the documentation point to things that exist, and name every setting."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from compassign_core.contracts.settings.base import Settings
from compassign_core.contracts.settings.chemistry import ChemistrySettings
from compassign_core.contracts.settings.convergence import ConvergenceSettings
from compassign_core.contracts.settings.imports import (
    ImportColumns,
    ImportSettings,
    RunConstants,
    StandardRule,
)
from compassign_core.contracts.settings.lasso import LassoSettings
from compassign_core.contracts.settings.libraries import (
    CapCounts,
    ChemistrySources,
    ExpectedCounts,
    LibrarySettings,
    ScheduleSettings,
)
from compassign_core.contracts.settings.models import MODELS
from compassign_core.contracts.settings.pooling import PoolingPriors, PoolingSettings
from compassign_core.contracts.settings.prep import PrepSettings
from compassign_core.contracts.settings.rt import RidgeSettings, WindowRequest, WindowSettings
from compassign_core.contracts.settings.sampling import AdviSettings, SamplerSettings

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
        ROOT / "data" / "README.md",
        *(ROOT / "docs").rglob("*.md"),
    ]
)
_CODE_BLOCK = re.compile(r"^```.*?^```", re.M | re.S)
_LINK = re.compile(r"\]\(([^)\s]+)\)")

every_page = pytest.mark.parametrize(
    "page", PAGES, ids=[path.relative_to(ROOT).as_posix() for path in PAGES]
)


def anchors(page: Path) -> set[str]:
    """Anchors that GitHub gives to the headings of a page."""
    text = _CODE_BLOCK.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    plain = [re.sub(r"&\w+;", "", heading).lower() for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading).strip().replace(" ", "-") for heading in plain}


@every_page
def test_relative_links_resolve(page: Path) -> None:
    text = _CODE_BLOCK.sub("", page.read_text(encoding="utf-8"))
    broken = []
    for link in _LINK.findall(text):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name) if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@every_page
def test_make_targets_and_files_of_the_code_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    named = set(re.findall(r"(?:`|^)make ([a-z-]+)", text, re.M))
    assert named - targets == set()
    files = re.findall(r"`((?:compassign_core|compassign_assets|benchmarks)/[\w/.]+)`", text)
    assert [name for name in files if not (ROOT / name).exists()] == []


@every_page
def test_no_page_holds_a_path_of_a_machine(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert re.findall(r"(?:^|[\s(`\"'])/(?:home|root|tmp|work|Users|var)/", text, re.M) == []


@pytest.mark.parametrize(
    ("settings", "prefix"),
    [
        (LibrarySettings, ""),
        (PrepSettings, ""),
        (ScheduleSettings, ""),
        (ExpectedCounts, ""),
        (CapCounts, "cap.<cap>."),
        (ChemistrySources, ""),
        (ChemistrySettings, "settings."),
        (ImportSettings, ""),
        (ImportColumns, ""),
        (StandardRule, ""),
        (RunConstants, ""),
    ],
)
def test_every_field_of_libraries_toml_is_explained(settings: type[Settings], prefix: str) -> None:
    page = (ROOT / "docs" / "libraries.md").read_text(encoding="utf-8")
    first_cells = re.findall(r"^\| `([\w.<>]+)` \|", page, re.M)
    # These two are sections, whose own fields are explained.
    fields = {prefix + (f.alias or name) for name, f in settings.model_fields.items()}
    fields -= {"settings", "cap"}
    assert fields - set(first_cells) == set()


def test_every_reason_of_refusal_is_explained() -> None:
    page = (ROOT / "docs" / "libraries.md").read_text(encoding="utf-8")
    in_sql = re.compile(r"(?:THEN|ELSE|SELECT)\s+'([a-z]+(?:_[a-z]+)+)'(?! AS fault)")
    in_python = re.compile(r'\("([a-z]+_[a-z]+)", f"chem_id')
    reasons = {"smiles_missing", "status_not_kept"}
    for path in (ROOT / "compassign_core").rglob("*.py"):
        if path.parent.name in ("prep", "importers", "chemistry"):
            source = path.read_text(encoding="utf-8")
            reasons.update(in_sql.findall(source) + in_python.findall(source))
    assert len(reasons) > 15
    assert sorted(name for name in reasons if f"| `{name}` |" not in page) == []


@pytest.mark.parametrize(
    ("card", "settings"),
    [
        ("ridge", [RidgeSettings, WindowSettings]),
        ("partial-pooling", [PoolingSettings, PoolingPriors]),
        ("lasso", [LassoSettings]),
        ("windows", [WindowRequest]),
        ("sampling", [SamplerSettings, AdviSettings]),
    ],
)
def test_every_setting_is_on_its_model_card(card: str, settings: list[type[Settings]]) -> None:
    text = (ROOT / "docs" / "models" / f"{card}.md").read_text(encoding="utf-8")
    fields = {name for kind in settings for name in kind.model_fields}
    assert [name for name in sorted(fields) if f"`{name}`" not in text] == []


def test_every_threshold_of_convergence_is_on_the_page_of_operations() -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    for name, field in ConvergenceSettings.model_fields.items():
        assert f"`{name}` = {field.default:g}" in text, name


def test_every_model_kind_has_a_card() -> None:
    cards = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "docs/models").glob("*.md"))
    assert [kind for kind in MODELS if f"`{kind}`" not in cards] == []
