"""Faults that are injected on purpose, and what became of them: `make soak`."""
