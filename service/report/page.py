"""The page: one file of HTML with its style, script and data inside."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

# In the order in which the page runs them.
_SCRIPTS = (
    "dom.js",
    "content.js",
    "grid.js",
    "tables.js",
    "plots.js",
    "patients.js",
    "donors.js",
    "patient.js",
    "across.js",
    "paper.js",
    "main.js",
)


def report_page(content: Mapping[str, Any], plain: bool = False) -> str:
    """The whole page for the values of `report_content`.

    They are compressed, unless `plain`: for browsers that cannot decompress (before 2023). The
    page forbids itself every request and every script but its own.
    """
    assets = files("service.report").joinpath("assets")
    style = assets.joinpath("style.css").read_text(encoding="utf-8")
    parts = [assets.joinpath(name).read_text(encoding="utf-8") for name in _SCRIPTS]
    script = '"use strict";\n(() => {\n' + "\n".join(parts) + "})();\n"
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    if plain:
        # In JSON a < stands in texts only; escaped, no text can end the element.
        kind, data = "application/json", text.replace("<", "\\u003c")
    else:
        packed = gzip.compress(text.encode(), compresslevel=6, mtime=0)
        kind, data = "application/gzip", base64.b64encode(packed).decode()
    template = assets.joinpath("page.html").read_text(encoding="utf-8")
    return template.format(
        style=style,
        style_hash=_hash(style),
        script=script,
        script_hash=_hash(script),
        kind=kind,
        data=data,
        day=html.escape(str(content["day"])),
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
