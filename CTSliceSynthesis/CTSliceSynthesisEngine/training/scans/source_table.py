"""What is known of scans beyond their files: a table that the user gives."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path

from ...errors import SynthesisError
from .text_file import read_text

NOT_GIVEN = "not given"
"""In place of a source or a licence."""


@dataclass(frozen=True)
class Source:
    """What is known of a scan beyond its file: goes into the training and into the model card.

    Attributes:
        scan: its name.
        thickness: of its slices, mm.
        source, licence: whose it is.
        patient: who it shows, where a patient has several scans; only ever compared, never written down.
    """

    scan: str
    thickness: float
    source: str
    licence: str
    patient: str = ""


def read_sources(path: str | Path) -> dict[str, Source]:
    """Read a CSV with the columns scan, thickness_mm, source, licence, and perhaps patient: scan name -> what is known.

    Spreadsheets write a byte order mark before it, and in many countries semicolons for commas.

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
