"""Tensors that are made for a system lie where the system does; "meta" stands for a device that is not the CPU."""

import torch

from sdewm.drifts.four_block import FourBlock, Joined
from sdewm.dynamics.brownian import BrownianMotion
from sdewm.dynamics.integer_time import IntegerBrownian
from sdewm.dynamics.system import probe_of
from sdewm.grid import TimeGrid


def test_a_probe_lies_where_the_weights_do():
    def net(inputs, outputs):
        return Joined(torch.nn.Linear(inputs, outputs))

    system = FourBlock(
        latent=2, hidden=3, observation=1, action=1, sequence=net(6, 3), transition=net(3, 2), form="rollout"
    )
    assert probe_of(system, None).device.type == "cpu"
    assert probe_of(system.to("meta"), None).device.type == "meta"


def test_increments_lie_where_the_states_do():
    motion = BrownianMotion(seed=0, grid=TimeGrid(1.0, 4), dim=2)
    for levy in (False, True):
        noise = IntegerBrownian([motion], 3, torch.float32, levy, torch.device("meta"))
        assert noise(0, 1).device.type == noise.device.type == "meta"
    here = IntegerBrownian([motion], 3, torch.float32)
    assert torch.equal(here(0, 1), motion.normals(3, torch.float32)[0])
