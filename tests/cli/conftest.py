"""Running `compassign …` as a user does, through its entry point."""

from __future__ import annotations

import pytest

from compassign_core.cli import main as cli


def _caller(monkeypatch, capsys):
    """A function that runs `compassign …`: exit code, stdout, stderr."""

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["compassign", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return call


@pytest.fixture
def run(made, monkeypatch, capsys):
    """Run `compassign …` on the finished project."""
    return _caller(monkeypatch, capsys)


@pytest.fixture
def project_run(project, monkeypatch, capsys):
    """Run `compassign …` where nothing has been made yet."""
    return _caller(monkeypatch, capsys)
