"""The stated error: what it is made of, and that it tells the truth where the truth is known."""

import math

import pytest
import torch
from CTSliceSynthesisEngine.synthesis.expected_error import TERMS, ExpectedError, fit, terms

GENERATOR = torch.Generator().manual_seed(4)


def planes(seed=0, size=(20, 24)):
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand(size, generator=generator) * scale for scale in (30.0, 200.0, 200.0)]


def test_the_terms_of_even_planes_are_as_worked_out_by_hand():
    spread, below, above = torch.full((9, 9), 8.0), torch.full((9, 9), 40.0), torch.full((9, 9), 58.0)
    seen = terms(spread, below, above, 0.25, 0.5)
    d, g = math.log(10), math.log(20)
    expected = [1.0, d, g, d * g, d * d, g * g, math.log(2), math.log(0.75), math.log(0.5)]
    for term, value in zip(seen, expected, strict=True):
        assert torch.allclose(term, torch.full((9, 9), value), atol=1e-4)  # at the rim as in the middle


def test_a_pixel_speaks_for_its_five_by_five_neighbourhood():
    quiet = torch.zeros(15, 15)
    loud = quiet.clone()
    loud[7, 7] = 25.0
    moved = (terms(loud, quiet, quiet, 0.5, 1.0)[1] - terms(quiet, quiet, quiet, 0.5, 1.0)[1]) > 1e-6
    inside = torch.zeros(15, 15, dtype=torch.bool)
    inside[5:10, 5:10] = True
    assert torch.equal(moved, inside)


def test_it_does_not_matter_which_slice_is_above():
    spread, below, above = planes()
    assert torch.allclose(terms(spread, below, above, 0.25, 1.0), terms(spread, above, below, 0.75, 1.0))


def test_an_unknown_thickness_reads_as_touching_slices():
    assert torch.equal(terms(*planes(), 0.5, None), terms(*planes(), 0.5, 1.0))


def test_a_known_law_is_found_again():
    law = ExpectedError((0.5, 0.3, 0.4, 0.02, 0.05, 0.01, 0.2, -0.3, 0.1))
    seen = torch.cat(
        [
            terms(*planes(k), position, share).flatten(1)
            for k in range(4)
            for position in (0.25, 0.5)
            for share in (0.4, 1)
        ],
        dim=1,
    )
    true = law(seen.double())
    found = fit(seen, true, torch.ones(len(true)))
    assert torch.allclose(found(seen.double()), true, rtol=1e-4)


def test_stated_errors_add_up_to_true_ones_when_these_scatter():
    """Errors scatter around their mean like an exponential law's; the stated error is that mean."""
    seen = torch.cat([terms(*planes(k, (60, 60)), 0.5, 1.0).flatten(1) for k in range(6)], dim=1)
    mean = ExpectedError((1.0, 0.4, 0.3, 0, 0, 0, 0.1, 0, 0))(seen)
    scattered = -mean * torch.rand(mean.shape, generator=GENERATOR).clamp_min(1e-9).log()
    stated = fit(seen, scattered, torch.ones(len(mean)))(seen)
    order = stated.argsort()
    for decile in order.chunk(10):
        assert float(stated[decile].mean()) == pytest.approx(float(scattered[decile].mean()), rel=0.1)


@pytest.mark.parametrize("numbers", [(1.0,) * (TERMS - 1), (math.nan,) * TERMS])
def test_a_calibration_of_the_wrong_kind_is_refused(numbers):
    with pytest.raises(ValueError, match="finite numbers"):
        ExpectedError(numbers)
