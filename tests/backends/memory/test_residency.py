"""Holders with counted bytes on an accelerator that is a number: the policy, without the hardware."""

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import pytest
import torch

from phyt2v_cli.backends.guard import GuardedGenerator
from phyt2v_cli.backends.memory import device, residency
from phyt2v_cli.backends.memory.residency import WHOLE_DEVICE, Accelerator
from phyt2v_cli.testing.fakes import FakeGenerator
from phyt2v_cli.turns import Turns, run_rank, waited_s


class Device:
    """Memory of so many bytes, of which holders and activations take their part."""

    def __init__(self, num_bytes: int) -> None:
        self.num_bytes = num_bytes
        self.allocated = 0
        self.num_releases = 0
        self.accelerator = Accelerator(lambda: self.num_bytes - self.allocated, self._release)

    def _release(self) -> None:
        self.num_releases += 1


class Weights:
    """A holder that counts its moves."""

    def __init__(self, device: Device, num_bytes: int, device_type: str = "cuda") -> None:
        self.device = torch.device(device_type)
        self.num_bytes = num_bytes
        self.is_here = False
        self.num_moves = 0
        self._device = device

    def to_device(self) -> None:
        if not self.is_here:
            if self._device.allocated + self.num_bytes > self._device.num_bytes:
                raise torch.OutOfMemoryError("no room")
            self._device.allocated += self.num_bytes
            self.is_here, self.num_moves = True, self.num_moves + 1

    def to_cpu(self) -> None:
        if self.is_here:
            self._device.allocated -= self.num_bytes
            self.is_here, self.num_moves = False, self.num_moves + 1


@contextmanager
def in_a_thread(target) -> Iterator[threading.Thread]:
    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    yield thread
    thread.join(timeout=60)
    assert not thread.is_alive()


def use(device: Device, holder: Weights, spare_bytes: int = 0) -> None:
    with device.accelerator.on_device(holder, spare_bytes=spare_bytes):
        assert holder.is_here


def test_what_fits_stays():
    device = Device(100)
    a, b = Weights(device, 40), Weights(device, 40)
    for _ in range(3):
        use(device, a, 10)
        use(device, b, 10)
    assert (a.num_moves, b.num_moves) == (1, 1)


def test_the_least_recently_used_makes_way():
    device = Device(100)
    a, b, c = (Weights(device, 40) for _ in range(3))
    use(device, a)
    use(device, b)
    use(device, a)
    use(device, c)
    assert (a.is_here, b.is_here, c.is_here) == (True, False, True)
    assert device.num_releases == 1


def test_no_more_make_way_than_must():
    device = Device(100)
    small = [Weights(device, 10) for _ in range(8)]
    for holder in small:
        use(device, holder)
    use(device, Weights(device, 35))
    assert [holder.is_here for holder in small] == [False, False, *[True] * 6]


def test_room_is_made_for_activations_of_one_that_is_there_already():
    device = Device(100)
    a, b = Weights(device, 40), Weights(device, 40)
    use(device, a)
    use(device, b)
    use(device, a, spare_bytes=30)
    assert (a.is_here, b.is_here) == (True, False)


def test_one_that_fits_nowhere_is_tried_alone_and_leaves_nothing_behind():
    device = Device(100)
    small, large = Weights(device, 40), Weights(device, 140)
    use(device, small)
    with pytest.raises(torch.OutOfMemoryError), device.accelerator.on_device(large, spare_bytes=0):
        raise AssertionError("it cannot have been entered")
    assert (small.is_here, large.is_here, device.allocated) == (False, False, 0)
    use(device, small)


def test_the_whole_device_is_everybody_elses_leave():
    device = Device(1000)
    a, b, c = (Weights(device, 10) for _ in range(3))
    for holder in (a, b, c):
        use(device, holder)
    use(device, a, spare_bytes=WHOLE_DEVICE)
    assert (a.is_here, b.is_here, c.is_here) == (True, False, False)


def test_who_works_is_waited_for():
    device = Device(100)
    working, waiting = Weights(device, 60), Weights(device, 60)
    entered, leave = threading.Event(), threading.Event()
    order: list[str] = []

    def work() -> None:
        with device.accelerator.on_device(working, spare_bytes=0):
            entered.set()
            leave.wait(60)
            order.append("worked")

    def wait() -> None:
        with device.accelerator.on_device(waiting, spare_bytes=0):
            order.append("came")

    with in_a_thread(work):
        entered.wait(60)
        with in_a_thread(wait):
            time.sleep(0.05)
            assert working.is_here
            assert not waiting.is_here
            leave.set()
    assert order == ["worked", "came"]
    assert (working.is_here, waiting.is_here) == (False, True)


def test_what_a_working_one_has_been_promised_is_taken():
    device = Device(100)
    working, other = Weights(device, 30), Weights(device, 30)
    leave = threading.Event()
    with device.accelerator.on_device(working, spare_bytes=50):

        def come() -> None:
            use(device, other)
            leave.set()

        thread = threading.Thread(target=come, daemon=True)
        thread.start()
        assert not leave.wait(0.05)  # 70 bytes are free, but 50 of them are spoken for
    thread.join(timeout=60)
    assert leave.is_set()


def test_one_is_used_by_several_threads_at_once():
    device = Device(100)
    shared = Weights(device, 60)
    together = threading.Barrier(2, timeout=60)

    def work() -> None:
        with device.accelerator.on_device(shared, spare_bytes=30):
            together.wait()

    with in_a_thread(work), in_a_thread(work):
        pass
    assert shared.num_moves == 1


def test_many_threads_with_models_that_do_not_fit_together_all_get_through():
    device = Device(100)
    holders = [Weights(device, size) for size in (60, 70, 80, 20)]

    def work(first: int) -> None:
        for turn in range(20):
            use(device, holders[(first + turn) % 4], spare_bytes=10)

    threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in threads)
    assert device.allocated == sum(holder.num_bytes for holder in holders if holder.is_here) <= 100


def test_one_that_is_claimed_stays_until_nobody_claims_it():
    device = Device(100)
    claimed, other = Weights(device, 60), Weights(device, 60)
    use(device, claimed)
    has_come = threading.Event()

    def come() -> None:
        use(device, other)
        has_come.set()

    with ExitStack() as joined:
        with device.accelerator.claimed(claimed):
            with device.accelerator.claimed(claimed):
                joined.enter_context(in_a_thread(come))
                assert not has_come.wait(0.05)
            assert not has_come.wait(0.05)  # one still claims it
            use(device, claimed)
            assert not has_come.wait(0.05)  # it was used, and is claimed all the same
        assert has_come.wait(60)
    assert (claimed.is_here, other.is_here) == (False, True)


def test_a_claim_brings_nothing_and_ends_with_an_error():
    device = Device(100)
    a, b = Weights(device, 60), Weights(device, 60)
    use(device, b)
    with pytest.raises(KeyError), device.accelerator.claimed(a):
        assert (a.is_here, b.is_here) == (False, True)
        raise KeyError
    use(device, a)
    device.accelerator.forget(a)
    assert not a.is_here


def test_the_wait_for_others_memory_is_no_work():
    device = Device(100)
    a, b = Weights(device, 60), Weights(device, 60)
    leave, waited = threading.Event(), list[float]()

    def wait() -> None:
        use(device, b)
        waited.append(waited_s())

    with in_a_thread(wait) as thread:
        thread.join(60)
    assert waited == [0]  # nobody was in the way
    with in_a_thread(lambda: hold(device, a, leave)):
        while not a.is_here:
            time.sleep(0.001)
        with in_a_thread(wait):
            time.sleep(0.5)
            leave.set()
    assert waited[1] >= 0.05


def hold(device: Device, holder: Weights, leave: threading.Event) -> None:
    with device.accelerator.on_device(holder, spare_bytes=0):
        assert leave.wait(60)


class ClaimingGenerator(FakeGenerator):
    """A generator whose weights are on the device while it works."""

    def __init__(self, device: Device) -> None:
        super().__init__()
        self.device, self.weights = device, Weights(device, 60)

    def claimed(self) -> AbstractContextManager[None]:
        return self.device.accelerator.claimed(self.weights)

    def denoise(self, *args: Any, **kwargs: Any) -> Any:
        with self.device.accelerator.on_device(self.weights, spare_bytes=10):
            time.sleep(0.01)
            return super().denoise(*args, **kwargs)

    def decode(self, *args: Any) -> Any:
        with self.device.accelerator.on_device(self.weights, spare_bytes=10):
            return super().decode(*args)


def test_runs_with_two_models_that_do_not_fit_together_fall_into_phases():
    device, num_runs, num_rounds = Device(100), 8, 3
    generator, vlm = ClaimingGenerator(device), Weights(device, 60)
    guarded, turns_of_vlm = GuardedGenerator(generator), Turns()

    def caption() -> None:
        with device.accelerator.on_device(vlm, spare_bytes=10), turns_of_vlm.taken():
            time.sleep(0.01)

    def run(number: int) -> None:
        run_rank.set(number)
        for _ in range(num_rounds):
            denoised = guarded.denoise("a ball", seed=0, num_inference_steps=1, on_step=lambda _: None)
            guarded.decode(denoised.latents)
            caption()

    threads = [threading.Thread(target=run, args=(n,), daemon=True) for n in range(num_runs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert len(generator.denoised) == num_runs * num_rounds
    # One after another would be moves for each video.
    assert generator.weights.num_moves + vlm.num_moves < num_runs * num_rounds


def test_an_error_inside_ends_the_use():
    device = Device(100)
    a, b = Weights(device, 60), Weights(device, 60)
    with pytest.raises(KeyError), device.accelerator.on_device(a, spare_bytes=0):
        raise KeyError
    use(device, b)
    assert not a.is_here


def test_the_forgotten_leave():
    device = Device(100)
    a = Weights(device, 60)
    device.accelerator.forget(a)
    use(device, a)
    device.accelerator.forget(a)
    assert (a.is_here, device.allocated) == (False, 0)


def test_on_a_cpu_nothing_moves():
    holder = Weights(Device(1), 60, "cpu")
    with residency.on_device(holder, spare_bytes=WHOLE_DEVICE):
        assert holder.num_moves == 0


@pytest.mark.gpu
def test_the_reading_of_cuda_follows_the_allowed_fraction_and_the_cache():
    total = torch.cuda.mem_get_info()[1]
    before = device.free_bytes()
    block = torch.empty(2**28, dtype=torch.uint8, device="cuda")
    assert before - device.free_bytes() == pytest.approx(2**28, rel=0.1)
    del block
    assert device.free_bytes() == pytest.approx(before, rel=0.01)
    torch.cuda.set_per_process_memory_fraction(0.25)
    try:
        assert device.free_bytes() <= total // 4
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
