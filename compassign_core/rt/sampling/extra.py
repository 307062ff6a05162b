"""The optional extra that the reference methods need; this module imports none of it."""

from __future__ import annotations

from importlib.util import find_spec

from compassign_core.contracts.errors import SettingsError

EXTRA = "bayes"
"""Name of the extra in ``pyproject.toml``."""

_PACKAGES = ("pymc", "arviz")


def require_pymc(method: str) -> None:
    """Say what to install when PyMC is missing.

    Raises
    ------
    SettingsError
        naming the packages that `method` needs and that are not installed.
    """
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise SettingsError(
            f"method={method!r} needs {' and '.join(missing)}, which this environment lacks.",
            f"install the extra with `pip install 'compassign[{EXTRA}]'` (`make all-extras` in a "
            "checkout), or use method='map' or 'laplace', which need nothing more.",
        )
