"""Properties of scans that are not in their files, from a table given by the user."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path

from ...errors import SynthesisError
from .text_file import read_text

NOT_GIVEN = "not given"
"""Placeholder for an unknown source or license."""


@dataclass(frozen=True)
class Source:
    """Properties of a scan, used in training and in the model card.

    Attributes:
        scan: name of the scan.
        thickness: slice thickness, mm.
        source, licence: origin and license.
        patient: patient identifier, if a patient has several scans; only compared, never stored.
    """

    scan: str
    thickness: float
    source: str
    licence: str
    patient: str = ""


def read_sources(path: str | Path) -> dict[str, Source]:
    """Read a CSV with the columns scan, thickness_mm, source, licence, and optionally patient; return scan name -> source.

    A byte order mark and semicolons instead of commas, as written by spreadsheets, are accepted.

    Raises:
        SynthesisError: "bad-input".
    """
    try:
        text = read_text(path)
        first = text.partition("\n")[0]
        table = csv.DictReader(
            io.StringIO(text, newline=""), delimiter=";" if ";" in first and "," not in first else ","
        )
        if not {"scan", "thickness_mm", "source", "licence"} <= set(table.fieldnames or ()):
            raise ValueError(f"found {table.fieldnames}")
        return {row["scan"]: _source(row) for row in table}
    except OSError as error:
        raise SynthesisError(
            "bad-input", f"The list of sources {path} cannot be read ({error.strerror}): check its name."
        ) from error
    except (TypeError, ValueError, csv.Error) as error:
        raise SynthesisError(
            "bad-input",
            f"{path} must be a CSV file with the columns scan, thickness_mm, source and licence ({error}): correct it.",
        ) from error


def _source(row: dict[str, str]) -> Source:
    thickness = float(row["thickness_mm"])
    if not 0 < thickness < math.inf:
        raise ValueError(f"the thickness of {row['scan']} is {row['thickness_mm']}")
    return Source(row["scan"], thickness, row["source"], row["licence"], row.get("patient") or "")
