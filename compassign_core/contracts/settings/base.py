"""What all settings objects share: frozen, strict about names, with errors a user can act on."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from compassign_core.contracts.errors import SettingsError


class Settings(BaseModel):
    """Base class of settings: immutable, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def parse(cls, values: dict[str, Any], where: str) -> Self:
        """Validate `values`, naming `where` they came from.

        Raises
        ------
        SettingsError
            naming every offending field, the value given and the rule it breaks.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            problems = []
            for item in error.errors():
                if not item["loc"]:
                    # A rule on several fields names them itself; all that was given says no more.
                    problems.append(item["msg"].removeprefix("Value error, "))
                    continue
                field = ".".join(str(part) for part in item["loc"])
                given = "" if item["type"] == "missing" else f" (given: {item['input']!r})"
                problems.append(f"{field}: {item['msg']}{given}")
            raise SettingsError(
                f"{where}: {'; '.join(problems)}.",
                f"correct the named field; {cls.__name__} accepts "
                f"{', '.join(sorted(f.alias or name for name, f in cls.model_fields.items()))}.",
            ) from error

    def fingerprint(self) -> str:
        """A short hash of the values, equal for equal settings on every machine."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
