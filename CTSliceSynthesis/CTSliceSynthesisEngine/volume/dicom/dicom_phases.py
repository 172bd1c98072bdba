"""Images of one series that lie among each other, as phases and kernels do, parted by what tells them apart."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import pairwise

from ..dicom_slice import PHASES, SAME_PLACE_MM, Slice, along, has_doubles

_PASS = "pass"  # of the scanner over the body, by the numbers of the images
_LEAST_PASS = 4  # images


def parts(images: list[Slice]) -> list[tuple[str, list[Slice]]]:
    """Label and images of each stack in a series; one without a label where nothing parts them."""
    return _among_each_other(images, [*PHASES, _PASS])


def grouped(images: Sequence[Slice], key: Callable[[Slice], str]) -> dict[str, list[Slice]]:
    """The images by what a function says of them."""
    groups: dict[str, list[Slice]] = defaultdict(list)
    for image in images:
        groups[key(image)].append(image)
    return dict(groups)


def _among_each_other(images: list[Slice], words: Sequence[str]) -> list[tuple[str, list[Slice]]]:
    """Label and images of each part, the images parted by every tag whose groups lie among each other.

    A scanner that moves the table from slice to slice gives each its own acquisition number and time, and two regions their
    own kernels: such groups lie beside each other, and stay together.

        |a a a a|b b b b|      one stack        |a b a b a b a b|     two
    """
    for index, word in enumerate(words):
        groups = _grouped_by(images, word)
        if len(groups) > 1 and _overlap(list(groups.values()), has_doubles(images)):
            return [
                (f"{word} {value or 'not given'}" + (f", {label}" if label else ""), part)
                for value in sorted(groups, key=_numbers_first)
                for label, part in _among_each_other(groups[value], words[index + 1 :])
            ]
    return [("", images)]


def _grouped_by(images: list[Slice], word: str) -> dict[str, list[Slice]]:
    if word != _PASS:
        number = list(PHASES).index(word)
        return grouped(images, lambda image: image.phase[number])
    return _passes(images) if has_doubles(images) else {}


def _passes(images: list[Slice]) -> dict[str, list[Slice]]:
    """Images by the turn in which the table went along, where their numbers follow it; {} where they do not."""
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
    """True if two of the groups lie among each other; single images do where they double one of another group."""
    spans = sorted((min(at), max(at), len(at)) for at in (along(group, groups[0][0]).tolist() for group in groups))
    long = [span for span in spans if span[2] > 1]
    among = any(later[0] <= earlier[1] + SAME_PLACE_MM for earlier, later in pairwise(long))
    few = len(spans) - len(long) <= len(long)  # else nearly every image would be a stack
    return among or (has_doubles and bool(long) and few and _doubles_one(long, spans))


def _doubles_one(long: list[tuple[float, float, int]], spans: list[tuple[float, float, int]]) -> bool:
    return any(
        low - SAME_PLACE_MM <= at <= high + SAME_PLACE_MM for at, _, n in spans if n == 1 for low, high, _ in long
    )


def _numbers_first(value: str) -> tuple[bool, float, str]:
    """Sort key: numbers by size, then words."""
    if re.fullmatch(r"[-+]?\d+(\.\d*)?", value):
        return False, float(value), value
    return True, 0.0, value
