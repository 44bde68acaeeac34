"""Compiling and opening a nomenclature release, beside the limits of 15 s and 0.5 s.

python -m benchmarks.reference [FOLDER]; by default 3.58.0 below GRAFTMATCH_SHARED.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.machine import machine, peak_memory_mib
from data.nomenclature import ReferenceFolder


def main() -> None:
    """Measure and print one JSON object."""
    default = Path(os.environ.get("GRAFTMATCH_SHARED", "../shared")) / "imgt/3580"
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    if not source.is_dir():
        print(f"skipped: no release files in {source}; give their folder")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = ReferenceFolder(Path(name))
        release = sys.argv[2] if len(sys.argv) > 2 else "3.58.0"
        start = time.perf_counter()
        installed = folder.install(release, str(source))
        compiled = time.perf_counter()
        nomenclature = folder.open(release)
        opened = time.perf_counter()
        for allele in nomenclature.alleles:
            nomenclature.read(":".join(allele.name.split(":")[:2]))
        read = time.perf_counter()
    result = {
        **machine(),
        "alleles": installed.n_alleles,
        "compile_seconds": round(compiled - start, 2),
        "compile_limit_seconds": 15,
        "open_seconds": round(opened - compiled, 3),
        "open_limit_seconds": 0.5,
        "names_read_per_second": round(installed.n_alleles / (read - opened)),
        "rss_mib": peak_memory_mib(),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
