"""Devices are tested before use and abandoned with a message, using real failures of absent devices."""

import pytest
import torch
from CTSliceSynthesisEngine.errors import SynthesisError
from CTSliceSynthesisEngine.networks.gap_network import condition
from CTSliceSynthesisEngine.synthesis import devices, predict
from CTSliceSynthesisEngine.synthesis.predict import FallbackPredictor, GapPredictor
from CTSliceSynthesisEngine.synthesis.stack import UnitStack

CPU, NOWHERE = torch.device("cpu"), torch.device("cuda:99")
TOLD = (condition(5.0, 0.8, 5.0, 2.5),) * 3


@pytest.fixture(autouse=True)
def exact(monkeypatch):
    """Convolve in float32 on any machine, because voxels are compared."""
    monkeypatch.setattr(predict, "choose_precision", lambda *_: torch.float32)


@pytest.fixture
def stack(make_scan):
    return UnitStack(make_scan().voxels)


@pytest.fixture
def expected(tiny_model, stack):
    return FallbackPredictor(tiny_model, stack, TOLD, CPU, lambda sentence: None)(1, 4, [0.5])


def test_the_cpu_is_used_without_a_test_and_unknown_names_are_refused():
    assert devices.choose_device("cpu") == CPU
    for name in ("gpu", "cuda:", "cuda:x", "cpu:0", "", "tpu"):
        with pytest.raises(SynthesisError, match="device"):
            devices.choose_device(name)


def test_a_missing_device_is_refused_by_name():
    with pytest.raises(SynthesisError, match="cannot be used") as refusal:
        devices.choose_device(str(NOWHERE))
    assert refusal.value.reason == "device"
    assert "\n" not in str(refusal.value)


def test_auto_falls_back_to_the_cpu_with_a_message_when_the_listed_device_fails(monkeypatch):
    monkeypatch.setattr(devices, "_accelerator", lambda: str(NOWHERE))
    said = []
    assert devices.choose_device("auto", said.append) == CPU
    assert len(said) == 1
    assert "using the CPU" in said[0]


@pytest.mark.parametrize("feature", ["amx_tile", "avx512_bf16"])
def test_precision_depends_only_on_processor_features(monkeypatch, feature):
    for name in ("amx_tile", "avx512_bf16"):
        monkeypatch.setattr(torch.cpu, f"_is_{name}_supported", lambda: False, raising=False)
    assert devices.choose_precision(CPU) == torch.float32
    monkeypatch.setattr(torch.cpu, f"_is_{feature}_supported", lambda: True)
    assert devices.choose_precision(CPU) == torch.bfloat16
    monkeypatch.delattr(torch.cpu, f"_is_{feature}_supported")  # PyTorch versions without this function
    assert devices.choose_precision(CPU) == torch.float32


def test_a_requested_precision_is_used():
    assert devices.choose_precision(CPU, "bfloat16") == torch.bfloat16
    assert devices.choose_precision(torch.device("cuda"), "float32") == torch.float32
    assert devices.choose_precision(torch.device("cuda")) == torch.float16
    assert devices.choose_precision(torch.device("mps")) == torch.float32


def test_a_device_that_fails_during_a_run_is_replaced_by_the_cpu(tiny_model, stack, expected):
    said = []
    fallback = FallbackPredictor(tiny_model, stack, TOLD, NOWHERE, said.append)
    assert torch.equal(fallback(1, 4, [0.5]), expected)
    assert len(said) == 1
    assert "cuda:99 failed" in said[0]
    assert torch.equal(fallback(1, 4, [0.5]), expected)
    assert len(said) == 1


class SmallCard(GapPredictor):
    """Computes on the CPU, but has memory for one small tile of one gap only, like a nearly full GPU."""

    room = 256

    def __call__(self, slices, positions):
        if self._largest_batch != 1 or self._tile > self.room:
            raise torch.cuda.OutOfMemoryError("simulated: out of memory")
        self._device = CPU
        return super().__call__(slices, positions)


def small_card(monkeypatch, tiny_model, stack, said):
    monkeypatch.setattr(predict, "GapPredictor", SmallCard)
    monkeypatch.setattr(FallbackPredictor, "_to_device", lambda self, slices: slices)
    return FallbackPredictor(tiny_model, stack, TOLD, torch.device("cuda"), said.append)


def test_out_of_memory_halves_the_work_until_it_fits(monkeypatch, tiny_model, stack, expected):
    said = []
    fallback = small_card(monkeypatch, tiny_model, stack, said)
    assert torch.allclose(fallback(1, 4, [0.5]), expected, atol=1e-5)
    assert not said


def test_persistent_out_of_memory_falls_back_to_the_cpu_with_a_message(monkeypatch, tiny_model, stack):
    monkeypatch.setattr(SmallCard, "room", 0)
    said = []
    fallback = small_card(monkeypatch, tiny_model, stack, said)
    with pytest.raises(torch.cuda.OutOfMemoryError):  # the fake fails on the CPU too: the error is not hidden
        fallback(1, 4, [0.5])
    assert len(said) == 1
    assert "out of memory" in said[0]


def test_a_gpu_gets_as_many_gaps_as_fit_into_half_its_free_memory(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (8 << 30, 16 << 30))
    cuda = torch.device("cuda")
    assert devices.gaps_at_once(CPU, 512 * 512, None) == 1
    assert devices.gaps_at_once(cuda, 512 * 512, None) == (4 << 30) // (512 * 512 * 2000)
    assert devices.gaps_at_once(cuda, 512 * 512, 3) == 3
    assert devices.gaps_at_once(cuda, 1 << 30, None) == 1
