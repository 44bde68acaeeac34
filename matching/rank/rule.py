"""The keys that donors are ordered by, and rules of them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass

from matching.immunogenetics import LEADER_ORDER

MISMATCHES = ("mismatches_best", "mismatches_worst")
# Of every key the reason to stand below another donor.
REASONS: Mapping[str, str] = {
    "antibody": "less favourable virtual crossmatch",
    "p10": "lower band of P(10/10)",
    "p9": "lower band of P(9/10)",
    "mismatches_best": "more mismatches at best",
    "mismatches_worst": "more mismatches at worst",
    "tce": "less favourable DPB1",
    "leader": "less favourable HLA-B leader",
    "risk": "higher risk of acute GVHD III-IV",
    "age": "older, or age unknown",
    "cmv": "less favourable CMV status",
    "sex": "female for a male patient, or sex unknown",
    "abo": "less favourable ABO group",
    "mismatches_counted": "more mismatches by the rule of the search",
    "tnc": "fewer nucleated cells a kg, or unknown",
    "cd34": "fewer CD34+ cells a kg, or unknown",
    "nima": "less favourable by maternal antigens",
}
BY_IDENTIFIER = "equal, by identifier"
DEFAULT_KEYS = ("p10", "p9", "tce", "leader", "risk", "age", "cmv", "sex", "abo")
# Of searches by a rule of cord blood units (`matching.cord.CordRule`).
CORD_KEYS = ("mismatches_counted", "tnc", "cd34", "risk", "abo")
DEFAULT_BANDS = (99.0, 95.0, 75.0, 50.0, 25.0, 1.0)
# Doses a kg that are worth a place, 10^7 nucleated and 10^6 CD34+ cells: our convention.
DOSE_STEPS: Mapping[str, float] = {"tnc": 0.5, "cd34": 0.05}
_RULE_FIELDS = {"keys", "bands", "risk_step", "leader_order"}


@dataclass(frozen=True)
class RankRule:
    """What donors are ordered by.

    `keys`: names of `REASONS`, the weightiest first. `bands`: lower bounds in percent of the bands
    of P(10/10) and P(9/10), falling; below the last is a band of its own. `risk_step`: percent.
    `leader_order`: (leader-matched, shared leader) of a single HLA-B mismatch, best first.
    Raises `ValueError` where that cannot be followed.
    """

    keys: tuple[str, ...] = DEFAULT_KEYS
    bands: tuple[float, ...] = DEFAULT_BANDS
    risk_step: float = 1.0
    leader_order: tuple[tuple[bool, str], ...] = LEADER_ORDER

    def __post_init__(self) -> None:
        for key in self.keys:
            if key not in REASONS:
                raise ValueError(f"no key is called {key!r}; known: {', '.join(REASONS)}")
        if len(set(self.keys)) != len(self.keys):
            raise ValueError("a key is named twice")
        falling = all(high > low for high, low in zip(self.bands, self.bands[1:], strict=False))
        if not self.bands or not falling or not all(0 < band <= 100 for band in self.bands):
            raise ValueError("bands are percentages above 0 up to 100 that fall, such as 99,95,75")
        if not 0 < self.risk_step <= 100:
            raise ValueError("risk_step is a percentage above 0 up to 100")
        if sorted(self.leader_order) != sorted(LEADER_ORDER):
            raise ValueError(
                "leader_order holds [true, 'T'], [true, 'M'], [false, 'T'] and [false, 'M'] once"
            )

    def applied(self, with_probabilities: bool) -> tuple[str, ...]:
        """The keys in use: without probabilities mismatch counts stand where the first band stood.

        >>> RankRule(("tce", "p10", "p9", "age")).applied(False)
        ('tce', 'mismatches_best', 'mismatches_worst', 'age')
        """
        if with_probabilities:
            return self.keys
        found: list[str] = []
        for key in self.keys:
            for name in MISMATCHES if key in ("p10", "p9") else (key,):
                if name not in found:
                    found.append(name)
        return tuple(found)


def parse_rule(text: str) -> RankRule:
    """A rule from TOML: `keys`, `bands`, `risk_step` and `leader_order`, each of them optional.

    >>> parse_rule('keys = ["tce", "age"]').keys
    ('tce', 'age')

    Raises `ValueError`.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"not TOML: {error}") from None
    if unknown := sorted(table.keys() - _RULE_FIELDS):
        known = ", ".join(sorted(_RULE_FIELDS))
        raise ValueError(f"no setting is called {unknown[0]!r}; known: {known}")
    default = RankRule()
    try:
        return RankRule(
            tuple(map(str, table.get("keys", default.keys))),
            tuple(map(float, table.get("bands", default.bands))),
            float(table.get("risk_step", default.risk_step)),
            tuple((bool(m), str(s)) for m, s in table.get("leader_order", default.leader_order)),
        )
    except TypeError as error:
        raise ValueError(f"a setting is of another kind than it should be: {error}") from None
