"""Plots of an evaluation as SVG; matplotlib is the extra `plots`."""

from __future__ import annotations

import importlib.util
import io

from matching.fit import Curves
from matching.risk import Outcome

SIZE = (10.0, 8.0)


def can_plot() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def plot(outcome: Outcome, found: Curves, title: str) -> bytes:
    """Calibration, ROC, decision curve and incidence by risk group in one SVG; the same input
    gives the same bytes. Raises `ImportError` without matplotlib."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "graftmatch", "svg.fonttype": "none"}):
        figure = Figure(figsize=SIZE, layout="constrained")
        (calibration, roc), (decision, incidence) = figure.subplots(2, 2)
        figure.suptitle(title)
        top = float(found.calibration.max()) * 1.1
        calibration.plot([0, top], [0, top], color="0.7")
        calibration.plot(*found.calibration.T, "o-")
        calibration.set(xlabel="predicted", ylabel="observed", title="Calibration (tenths)")
        roc.plot([0, 1], [0, 1], color="0.7")
        roc.plot(*found.roc.T)
        roc.set(xlabel="1 - specificity", ylabel="sensitivity", title="ROC")
        thresholds, model, everyone = found.decision.T
        decision.plot(thresholds, model, label="model")
        decision.plot(thresholds, everyone, label="all", color="0.5")
        decision.axhline(0, color="0.7", label="none")
        low = min(0.0, float(model.min()))
        decision.set(
            xlabel="threshold", ylabel="net benefit", title="Decision curve",
            ylim=(low - 0.05, max(float(everyone.max()), float(model.max())) + 0.05),
        )  # fmt: skip
        decision.legend()
        for name, line in zip(("lowest", "middle", "highest"), found.incidence, strict=True):
            incidence.plot(*line.T, label=f"{name} third")
        incidence.set(
            xlabel="days", ylabel="cumulative incidence", title=f"Incidence of {outcome.text}"
        )
        incidence.legend()
        out = io.BytesIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()
