"""A recurrent step with categorical latents: simulated on the same Brownian paths, but without pathwise derivatives."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ..exceptions import InvalidArgument
from ..validation import integer

CONTINUOUS = "continuous latents"
NO_DERIVATIVE = (
    "continuous latents fails: a CategoricalMap has no derivative in the size of an error, since its latents jump or "
    "stay (their root mean square difference is of order ½); expand the Gaussian or the probability map as a StepMap."
)


@final
@dataclass(frozen=True)
class CategoricalMap:
    """h' = recurrent(n, h, z, a), then z' drawn from the categorical law with logits(n, h') in each of some groups.

    The state is x = (h, z) with z one-hot in each group. The draw is by the inverse distribution function from one
    uniform number a group, Φ(ξ): two such maps on one Brownian path use common uniforms, the coupling under which their
    latents differ as seldom as an ordered coupling allows. A latent then jumps or stays: there is no derivative in the
    size of an error, and the root mean square difference is of order ½ in it.

    Args:
        recurrent: (n, h, z, a) to h', (paths, hidden).
        logits: (n, h') to (paths, groups × classes).
        hidden: size of h, at least 1.
        groups, classes: number of categorical variables, and of classes of each.
        action_dim: dimension of the actions, 0 for none.
        dtype: the dtype the map computes in, where it insists on one.

    Raises:
        InvalidArgument: a size is wrong.

    Example:
        >>> step = CategoricalMap(lambda n, h, z, a: h, lambda n, h: h.expand(-1, 2), hidden=1, groups=1, classes=2)
        >>> step(0, torch.zeros(1, 3), torch.full((1, 1), -1.0), None)
        tensor([[0., 1., 0.]])
    """

    recurrent: Callable[[int, Tensor, Tensor, Tensor | None], Tensor]
    logits: Callable[[int, Tensor], Tensor]
    hidden: int
    groups: int
    classes: int
    action_dim: int = 0
    dtype: torch.dtype | None = None

    def __post_init__(self) -> None:
        integer("hidden", self.hidden, least=1)
        integer("groups", self.groups, least=1)
        integer("classes", self.classes, least=2)
        integer("action_dim", self.action_dim, least=0)

    @property
    def dim(self) -> int:
        """Dimension of the state (h, z)."""
        return self.hidden + self.groups * self.classes

    @property
    def noise_groups(self) -> tuple[tuple[str, int], ...]:
        """One normal number for each categorical variable."""
        return (("paths", self.groups),)

    def __call__(self, n: int, x: Tensor, xi: Tensor, a: Tensor | None) -> Tensor:
        """The next state (paths, dim) from normals ξ (paths, groups).

        Raises:
            InvalidArgument: recurrent or logits returns another shape.
        """
        h = self.recurrent(n, x[:, : self.hidden], x[:, self.hidden :], a)
        if h.shape != (len(x), self.hidden):
            raise InvalidArgument(f"recurrent must return shape {(len(x), self.hidden)}, got {tuple(h.shape)}.")
        logits = self.logits(n, h)
        if logits.shape != (len(x), self.groups * self.classes):
            wanted = (len(x), self.groups * self.classes)
            raise InvalidArgument(f"logits must return shape {wanted}, got {tuple(logits.shape)}.")
        # The inverse distribution function at u = Φ(ξ): the number of classes whose cumulative probability is below u.
        ladder = logits.reshape(len(x), self.groups, self.classes).softmax(-1).cumsum(-1)
        uniform = torch.special.ndtr(xi)[:, :, None]
        drawn = (ladder[:, :, :-1] < uniform).sum(-1)
        # Logits that are not finite have no law: then the latents are not finite either, and the engine says so.
        z = torch.nn.functional.one_hot(drawn, self.classes).to(x) + 0.0 * ladder
        z = z.flatten(1)
        return torch.cat((h, z), dim=1)
