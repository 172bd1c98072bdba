"""Separation of interleaved images of one series, e.g. phases or kernels, by their distinguishing attributes."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import pairwise

from ..dicom_slice import PHASES, SAME_PLACE_MM, Slice, along, has_doubles

_PASS = "pass"  # of the table, determined from the instance numbers
_LEAST_PASS = 4  # images


def parts(images: list[Slice]) -> list[tuple[str, list[Slice]]]:
    """Return label and images of each stack in a series; a single one with an empty label if they are not interleaved."""
    return _split(images, [*PHASES, _PASS])


def grouped(images: Sequence[Slice], key: Callable[[Slice], str]) -> dict[str, list[Slice]]:
    """Group the images by a key."""
    groups: dict[str, list[Slice]] = defaultdict(list)
    for image in images:
        groups[key(image)].append(image)
    return dict(groups)


def _split(images: list[Slice], criteria: Sequence[str]) -> list[tuple[str, list[Slice]]]:
    """Split images by every criterion whose groups are interleaved; return label and images of each part.

    In step-and-shoot scans, each slice has its own acquisition number and time, and two regions may have different kernels:
    such groups are adjacent rather than interleaved, and stay together.

        |a a a a|b b b b|      one stack        |a b a b a b a b|     two
    """
    for index, criterion in enumerate(criteria):
        groups = _grouped_by(images, criterion)
        if len(groups) > 1 and _overlap(list(groups.values()), has_doubles(images)):
            return [
                (f"{criterion} {value or 'not given'}" + (f", {label}" if label else ""), part)
                for value in sorted(groups, key=_numbers_first)
                for label, part in _split(groups[value], criteria[index + 1 :])
            ]
    return [("", images)]


def _grouped_by(images: list[Slice], criterion: str) -> dict[str, list[Slice]]:
    if criterion != _PASS:
        number = list(PHASES).index(criterion)
        return grouped(images, lambda image: image.phase[number])
    return _passes(images) if has_doubles(images) else {}


def _passes(images: list[Slice]) -> dict[str, list[Slice]]:
    """Group images by table pass, if instance numbers follow the table; {} otherwise."""
    ordered = sorted(images, key=lambda image: image.number)
    if len({image.number for image in images}) < len(images):
        return {}
    groups: list[list[Slice]] = [[]]
    for image in ordered:
        at = along([*groups[-1][-2:], image], images[0])
        if len(at) == 3 and (at[2] - at[1]) * (at[1] - at[0]) <= 0:
            groups.append([])
        groups[-1].append(image)
    return {str(n): group for n, group in enumerate(groups, 1)} if min(map(len, groups)) >= _LEAST_PASS else {}


def _overlap(groups: list[list[Slice]], has_doubles: bool) -> bool:
    """Return whether two groups are interleaved; single images are if they duplicate a position in another group."""
    spans = sorted((min(at), max(at), len(at)) for at in (along(group, groups[0][0]).tolist() for group in groups))
    long = [span for span in spans if span[2] > 1]
    interleaved = any(later[0] <= earlier[1] + SAME_PLACE_MM for earlier, later in pairwise(long))
    few = len(spans) - len(long) <= len(long)  # otherwise nearly every image would become a stack
    return interleaved or (has_doubles and bool(long) and few and _duplicates_position(long, spans))


def _duplicates_position(long: list[tuple[float, float, int]], spans: list[tuple[float, float, int]]) -> bool:
    return any(
        low - SAME_PLACE_MM <= at <= high + SAME_PLACE_MM for at, _, n in spans if n == 1 for low, high, _ in long
    )


def _numbers_first(value: str) -> tuple[bool, float, str]:
    """Return a sort key: numbers by value, then text."""
    if re.fullmatch(r"[-+]?\d+(\.\d*)?", value):
        return False, float(value), value
    return True, 0.0, value
