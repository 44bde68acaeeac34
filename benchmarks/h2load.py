"""One gRPC call again and again by h2load (Debian's nghttp2-client), which itself costs little."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np

HEADERS = ("content-type: application/grpc", "te: trailers")
CONNECTIONS = 16


def installed() -> bool:
    """Whether h2load is here."""
    return shutil.which("h2load") is not None


def h2load(
    url: str,
    message: bytes,
    folder: Path,
    seconds: float,
    in_flight: int,
    per_second: float | None = None,
) -> dict[str, float]:
    """Throughput and percentiles of the time from a request to its answer, in milliseconds, after
    a second that warms up; `per_second`: so many instead of as many as can be, one of every
    connection at the same moment.

    `folder`: where its files go. Statuses of gRPC are for the caller to look up.
    """
    data, log = folder / "request.bin", folder / "h2load.log"
    data.write_bytes(b"\0" + len(message).to_bytes(4, "big") + message)
    log.unlink(missing_ok=True)
    command = [
        *("h2load", "--duration", f"{seconds:g}", "--warm-up-time", "1", "--data", str(data)),
        *("--clients", str(CONNECTIONS), "--log-file", str(log)),
        *("--max-concurrent-streams", str(max(1, in_flight // CONNECTIONS))),
        *(part for header in HEADERS for part in ("--header", header)),
    ]
    if per_second is not None:
        command += ["--rps", f"{per_second / CONNECTIONS:g}"]
    subprocess.run([*command, url], check=True, stdout=subprocess.DEVNULL)
    rows = np.loadtxt(log, ndmin=2)
    p50, p99, most = np.percentile(rows[:, 2] / 1000, [50, 99, 100])
    # Microseconds from the first request to the last answer.
    span = float((rows[:, 0] + rows[:, 2]).max() - rows[:, 0].min())
    return {
        "calls": len(rows),
        "per_second": round(len(rows) / span * 1e6, 1),
        "p50_ms": round(float(p50), 2),
        "p99_ms": round(float(p99), 2),
        "max_ms": round(float(most), 2),
    }
