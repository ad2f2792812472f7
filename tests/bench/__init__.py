"""Benchmarks of the simulation engine against its peers; `make bench`."""
