"""What is done, and what the sentence that refuses it must say: the argument's name and the value that was given."""

from . import ground, inputs, runs
from .things import Case as Case

CASES: list[Case] = [*ground.CASES, *inputs.CASES, *runs.CASES]
