"""The page of data contracts says what the code says."""

from __future__ import annotations

import re
from pathlib import Path

from compassign_assets.contract_docs import PAGE, check_specs, render
from compassign_core.contracts.catalogue import CONTRACTS
from compassign_core.contracts.check_rules import RULES
from compassign_core.pipeline.stages import ARTIFACTS

ROOT = Path(__file__).parents[2]


def test_committed_page_is_up_to_date() -> None:
    committed = (ROOT / PAGE).read_text(encoding="utf-8")
    assert committed == render(), f"{PAGE} is older than the code: run `make docs`"


def test_every_column_of_every_table_is_on_the_page() -> None:
    page = render()
    for contract in CONTRACTS.values():
        section = page.split(f"### {contract.name}\n")[1].split("\n### ")[0]
        rows = re.findall(r"^\| `(\w+)` \| ([A-Z\[\]]+) \|", section.split("\n## ")[0], re.M)
        assert rows == [(column.name, column.type) for column in contract.columns]


def test_every_check_stands_on_the_page_with_its_rule() -> None:
    page = render()
    for name in CONTRACTS:
        for spec in check_specs(name):
            assert f"| `{spec.name}` | {RULES[spec.name]} |" in page


def test_every_artifact_is_on_the_page() -> None:
    page = render()
    for name in ARTIFACTS:
        assert f"| `{name}` |" in page or f"### {name}\n" in page


def test_page_names_no_library_and_no_absolute_path() -> None:
    page = render()
    assert not re.search(r"lib_id=\d", page)
    assert str(ROOT) not in page
