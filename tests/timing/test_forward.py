"""The network alone: what is timed, compared and reported, on the CPU and with a played device."""

from __future__ import annotations

from dataclasses import replace

import make
import make_speed
import pytest
import torch
from torch import nn

from posebench.inference.forms import DTYPES, FormedNetwork
from posebench.timing import forward
from posebench.timing.accelerator import Meter
from posebench.timing.clocks import DeviceClock, Effort, HostClock
from posebench.timing.forward import (
    WrongOutputs,
    measure_forward,
    prepare,
    time_forward,
    tolerance,
)
from posebench.types.timing import AcceleratorState, Form

SHORT = Effort(iterations=6, seconds=0.0, agreeing=2, warm_up=3)


@pytest.fixture(autouse=True)
def short(monkeypatch):
    for name in ("QUICK", "FULL", "NULL"):
        monkeypatch.setattr(forward, name, SHORT)
    monkeypatch.setattr(forward, "matrix_product_rate", lambda clock, device, dtype: 1e9)


def timed(**changes):
    cell = make_speed.cell(**changes)
    prepared = prepare(make.probe_model(), cell)
    return time_forward(prepared, cell, make_speed.cost(), Meter.of(""))[0]


def test_a_plain_network_equals_itself_and_everything_is_reported():
    found = timed(batch_size=4)
    assert found.error == 0.0
    assert found.tolerance == 1e-5
    assert len(found.seconds) == 6
    assert found.persons_per_second == pytest.approx(4 / found.percentiles["p50"], rel=1e-6)
    assert (found.scope, found.form, found.flip) == ("forward", "plain", False)
    assert found.parameters == make_speed.cost().parameters
    assert found.flops_per_second == pytest.approx(
        2 * make_speed.cost().macs * found.persons_per_second
    )
    assert found.share_of_ceiling == pytest.approx(found.flops_per_second / 1e9)
    assert found.memory["rss"] > 50 * 2**20
    assert 0 < found.overhead < found.percentiles["p50"]
    assert found.joules_per_1000 is None


def test_flip_is_two_passes_of_which_both_count_and_both_are_compared(monkeypatch):
    found = timed(flip=True)
    assert found.flops_per_second == pytest.approx(
        4 * make_speed.cost().macs * found.persons_per_second
    )
    cell = make_speed.cell(flip=True)
    prepared = prepare(make.probe_model(), cell)
    plain, mirrored = prepared.expected
    torch.testing.assert_close(mirrored, make.probe_model().network(prepared.batch.flip(-1)))
    wrong = replace(prepared, expected=(plain, mirrored + 1))
    with pytest.raises(WrongOutputs):
        time_forward(wrong, cell, make_speed.cost(), Meter.of(""))


class Off(nn.Module):
    def __init__(self, network, by):
        super().__init__()
        self.network, self.by = network, by

    def forward(self, x):
        return self.network(x) + self.by


@pytest.mark.parametrize("by", [1.0, float("nan")])
def test_a_fast_wrong_network_fails_its_cell(by):
    cell = make_speed.cell()
    prepared = prepare(make.probe_model(), cell)
    model = prepared.model
    wrong = replace(prepared, model=replace(model, network=Off(model.network, by)))
    with pytest.raises(WrongOutputs, match="of the peak, above 1e-05"):
        time_forward(wrong, cell, make_speed.cost(), Meter.of(""))


def test_the_timed_network_is_the_one_in_form():
    cell = make_speed.cell(form=Form(channels_last=True, precision="bf16"))
    prepared = prepare(make.probe_model(), cell)
    assert isinstance(prepared.model.network, FormedNetwork)
    found = time_forward(prepared, cell, make_speed.cost(), Meter.of(""))[0]
    assert 1e-5 < found.error < found.tolerance
    assert found.form == "channels-last, bf16"


class Untouched(nn.Module):
    """Notes what type and layout its input has."""

    def __init__(self, network):
        super().__init__()
        self.network, self.seen = network, set()

    def forward(self, x):
        last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
        self.seen.add((x.dtype, last))
        return self.network(x)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_the_input_has_the_forms_type_and_layout_before_the_clock_starts(precision, flip):
    form = Form(precision=precision, channels_last=True)
    cell = make_speed.cell(form=form, flip=flip)
    prepared = prepare(make.probe_model(), cell)
    network = Untouched(prepared.model.network)
    model = replace(prepared.model, network=network)
    time_forward(replace(prepared, model=model), cell, make_speed.cost(), Meter.of(""))
    assert network.seen == {(DTYPES[precision], True)}


@pytest.mark.parametrize(
    ("device", "precision", "allowed"),
    [
        ("cpu", "fp32", 1e-5),
        ("cuda:0", "fp32", 1e-4),
        ("cuda:0", "tf32", 1e-2),
        ("cpu", "bf16", 1e-1),
    ],
)
def test_fewer_bits_may_differ_more(device, precision, allowed):
    assert tolerance(make_speed.cell(device=device, form=Form(precision=precision))) == allowed


def test_gluoncvs_input_is_uniform_and_its_rate_is_of_the_total():
    cell = make_speed.cell(method="gluoncv", quick=False, batch_size=2)
    prepared = prepare(make.probe_model(), cell)
    assert -1 <= prepared.batch.min() < -0.99
    assert 0.99 < prepared.batch.max() <= 1
    assert abs(prepared.batch.mean()) < 0.05
    found = time_forward(prepared, cell, make_speed.cost(), Meter.of(""))[0]
    assert len(found.seconds) == 100
    assert found.persons_per_second == pytest.approx(200 / sum(found.seconds), rel=1e-3)


def test_energy_is_that_of_the_timed_iterations_and_states_frame_them(monkeypatch):
    log = []

    class Instruments(Meter):
        def __init__(self):
            self.joule = 100.0

        def joules(self):
            log.append("joules")
            self.joule += 30.0
            return self.joule

        def state(self):
            log.append("state")
            return AcceleratorState(temperature=len(log))

    class Watched(HostClock):
        """As a device's clock, but of the host: it calls ``watch`` when all is queued."""

        def __init__(self, watch=None):
            super().__init__()
            self.watch = watch

        def samples(self, work, count):
            found = super().samples(work, count)
            log.append(f"{count} iterations")
            if self.watch:
                self.watch()
            return found

    monkeypatch.setattr(forward, "clock_of", lambda device, watch=None: Watched(watch))
    cell = make_speed.cell(batch_size=10)
    prepared = prepare(make.probe_model(), cell)
    found, states = time_forward(prepared, cell, make_speed.cost(), Instruments())
    # 30 J for 6 iterations of 10 persons
    assert found.joules_per_1000 == pytest.approx(500.0)
    assert log[0] == "state"
    assert log[-4:] == ["joules", "6 iterations", "state", "joules"]
    assert len(states) == 2


def test_an_accelerator_has_its_own_clock_and_memory(monkeypatch):
    waited = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 5)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda device: 7)
    watch = object()
    clock = forward.clock_of("cuda:1", watch)
    assert isinstance(clock, DeviceClock)
    assert clock.watch is watch
    clock.synchronize()
    forward._synchronize("cuda:1")
    forward._synchronize("cpu")
    assert waited == ["cuda:1", "cuda:1"]
    assert forward.memory_of("cuda:1") == {"allocated": 5, "reserved": 7}


def test_the_demo_times_quickly_in_its_own_process(monkeypatch):
    monkeypatch.setattr(forward, "complexity", lambda entry: make_speed.cost())
    found = measure_forward(make.probe_model(), batch_size=3)
    assert (found.batch_size, found.device, len(found.seconds)) == (3, "cpu", 6)
    assert found.gmacs == make_speed.cost().macs / 1e9
