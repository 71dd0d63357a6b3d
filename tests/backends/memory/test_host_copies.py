"""Weights that come back from their copies, and are not copied."""

import torch

from phyt2v_cli.backends.memory.host_copies import HostCopies


def test_weights_are_the_copies_again_after_they_were_elsewhere() -> None:
    layer = torch.nn.BatchNorm1d(3)
    kept = {name: tensor.data_ptr() for name, tensor in layer.state_dict().items()}
    weight = layer.weight
    copies = HostCopies([layer])
    layer.double()  # as a move does, it gives each weight other memory
    assert {name: tensor.data_ptr() for name, tensor in layer.state_dict().items()} != kept
    copies.put_back()
    assert {name: tensor.data_ptr() for name, tensor in layer.state_dict().items()} == kept
    assert layer.weight is weight  # compiled code knows the object
    assert weight.dtype == torch.float32


def test_weights_that_are_not_on_the_cpu_are_left_alone() -> None:
    layer = torch.nn.Linear(3, 3, device="meta")
    HostCopies([layer]).put_back()
    assert layer.weight.device.type == "meta"
