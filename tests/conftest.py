"""One thread a process: results are compared to the bit, and neighbours share the cores."""

import torch

torch.set_num_threads(1)
