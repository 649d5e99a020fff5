"""Where the synthetic wells lie, and what wells there are like.

State and county codes are those of API Bulletin D12A. Rates, ratios and declines are round figures within what state
production reports show for horizontal wells; they describe no real field, operator or well.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Area:
    """A county of a basin, and the spread of its wells."""

    basin: str
    field: str
    formation: str
    county: str
    state: str
    api_prefix: str
    """State and county code: SS-CCC."""
    latitude: float
    longitude: float
    operator: str
    share: int
    """Wells here, as parts of the sum over all areas."""
    oil_rate: tuple[float, float]
    """Initial oil rate, bbl/d, lowest and highest."""
    gas_oil_ratio: float
    """mcf of gas a barrel of oil, at first."""
    water_oil_ratio: float
    """Barrels of water a barrel of oil, at first."""


AREAS = (
    Area(
        "Permian",
        "Spraberry",
        "Wolfcamp",
        "Midland",
        "TX",
        "42-329",
        31.87,
        -102.03,
        "Caprock Energy",
        6,
        (450, 1100),
        2.1,
        2.2,
    ),
    Area(
        "Permian",
        "Delaware River",
        "Bone Spring",
        "Reeves",
        "TX",
        "42-389",
        31.32,
        -103.69,
        "Caprock Energy",
        4,
        (500, 1300),
        3.4,
        3.6,
    ),
    Area(
        "Permian",
        "Red Tank",
        "Wolfcamp",
        "Lea",
        "NM",
        "30-025",
        32.35,
        -103.55,
        "Pecos Valley Oil",
        4,
        (550, 1400),
        2.8,
        3.1,
    ),
    Area(
        "Permian",
        "Purple Sage",
        "Wolfcamp",
        "Eddy",
        "NM",
        "30-015",
        32.25,
        -104.05,
        "Pecos Valley Oil",
        3,
        (400, 1200),
        4.0,
        3.8,
    ),
    Area(
        "Eagle Ford",
        "Eagleville",
        "Eagle Ford",
        "Karnes",
        "TX",
        "42-255",
        28.90,
        -97.86,
        "Brush Country Resources",
        4,
        (350, 1000),
        1.9,
        0.9,
    ),
    Area(
        "Eagle Ford",
        "Briscoe Ranch",
        "Eagle Ford",
        "La Salle",
        "TX",
        "42-283",
        28.35,
        -99.10,
        "Brush Country Resources",
        2,
        (250, 700),
        5.2,
        0.7,
    ),
    Area(
        "Williston",
        "Spotted Horn",
        "Bakken",
        "McKenzie",
        "ND",
        "33-053",
        47.78,
        -103.10,
        "Missouri Breaks Petroleum",
        4,
        (450, 1250),
        1.7,
        1.3,
    ),
    Area(
        "Williston",
        "Parshall",
        "Three Forks",
        "Mountrail",
        "ND",
        "33-061",
        48.05,
        -102.20,
        "Missouri Breaks Petroleum",
        2,
        (300, 800),
        1.2,
        1.0,
    ),
    Area(
        "DJ",
        "Wattenberg",
        "Niobrara",
        "Weld",
        "CO",
        "05-123",
        40.35,
        -104.70,
        "Front Range Operating",
        4,
        (250, 750),
        4.5,
        0.4,
    ),
    Area(
        "Anadarko",
        "Sooner Trend",
        "Meramec",
        "Kingfisher",
        "OK",
        "35-073",
        35.95,
        -97.94,
        "Cross Timbers Oil",
        3,
        (200, 650),
        5.8,
        1.6,
    ),
)

CREW_BASES = {
    "Permian": ("Midland", "Carlsbad"),
    "Eagle Ford": ("Karnes City",),
    "Williston": ("Watford City",),
    "DJ": ("Greeley",),
    "Anadarko": ("Kingfisher",),
}
"""Towns that technicians work from, by basin."""
