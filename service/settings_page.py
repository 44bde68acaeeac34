"""Write the reference of settings into docs/operations.md, or check that it is there as it is.

python -m service.settings_page [--check]
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic_settings import BaseSettings

from service.cli.serve import serve
from service.config import Settings
from service.server_settings import ServeSettings, option, variable

PAGE = Path(__file__).resolve().parent.parent / "docs" / "operations.md"
BEGIN = "<!-- settings: written by `make docs`, not by hand -->\n"
END = "<!-- end of settings -->\n"


def reference() -> str:
    """The settings of the command line and of the server, as two tables."""
    options = inspect.signature(serve).parameters
    home = Settings.model_fields["home"]
    return "\n".join(
        [
            "| variable | default | |",
            "|---|---|---|",
            f"| `GRAFTMATCH_HOME` | `~/.graftmatch` | {home.description} |",
            *_rows(Settings, lambda name: f"GRAFTMATCH_{name}".upper(), ("home",)),
            "",
            "| variable | option of `serve` | default | |",
            "|---|---|---|---|",
            *(
                f"| `{variable(name)}` | {f'`{option(name)}`' if name in options else ''} | "
                f"{_default(field)} | {field.description}{_range(field)} |"
                for name, field in ServeSettings.model_fields.items()
            ),
            "",
        ]
    )


def _rows(settings: type[BaseSettings], named: Any, without: tuple[str, ...]) -> Iterator[str]:
    for name, field in settings.model_fields.items():
        if name not in without:
            yield f"| `{named(name)}` | {_default(field)} | {field.description} |"


def _default(field: Any) -> str:
    return "" if field.default in (None, "") else f"`{str(field.default).lower()}`"


def _range(field: Any) -> str:
    """What its values may be, from the checks that are made."""
    bounds = {
        name: getattr(check, name)
        for check in field.metadata
        for name in ("ge", "gt", "le")
        if hasattr(check, name)
    }
    if not bounds:
        return ""
    low = f"From {bounds['ge']:,}" if "ge" in bounds else f"Above {bounds['gt']:,}, up"
    return f" {low} to {bounds['le']:,}."


def with_reference(page: str) -> str:
    """A page with the tables between its two marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{reference()}\n{END}{after}"


def main() -> None:
    """Write, or with `--check` exit 1 where the page differs."""
    page = PAGE.read_text("utf-8")
    if sys.argv[1:] == ["--check"]:
        if with_reference(page) != page:
            raise SystemExit(f"{PAGE.name}: the settings differ from the code: make docs")
    elif sys.argv[1:]:
        raise SystemExit(__doc__)
    else:
        PAGE.write_text(with_reference(page), "utf-8")


if __name__ == "__main__":
    main()
