"""Curves of a report: portable SVG plots from incomplete values."""

import math
from xml.etree import ElementTree

from CTSliceSynthesisEngine.evaluation.training_curves import HEIGHT, WIDTH, drawing


def points(line):
    return [tuple(map(float, pair.split(","))) for pair in line.get("points").split()]


def test_a_plot_is_well_formed_and_its_curves_follow_the_values():
    root = ElementTree.fromstring(
        drawing({"a < b": [(0, 0.0), (10, 4.0)], "down": [(0, 4.0), (10, -1.0)]}, "step", "dB")
    )
    up, down = (points(line) for line in root.iter("polyline"))
    assert up[0][1] > up[1][1]  # image rows increase downward
    assert down[0][1] < up[0][1] < down[1][1]
    assert up[0][0] == down[0][0] < up[1][0] == down[1][0]
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in (*up, *down))
    words = [text.text for text in root.iter("text")]
    assert {"a < b", "down", "step", "dB", "4", "-1", "10", "0"} <= set(words)


def test_non_finite_points_are_skipped_and_without_points_there_is_no_plot():
    root = ElementTree.fromstring(drawing({"one": [(0, 1.0), (1, math.nan), (2, math.inf), (3, 1.0)]}, "x", "y"))
    assert len(points(next(root.iter("polyline")))) == 2
    assert drawing({"none": [], "nan": [(0, math.nan)]}, "x", "y") == ""


def test_a_single_point_and_a_flat_curve_are_drawn():
    root = ElementTree.fromstring(drawing({"flat": [(5, 0.0)]}, "x", "y"))
    assert len(points(next(root.iter("polyline")))) == 1
