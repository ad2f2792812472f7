"""One file for each peer: a function prepares the problem once and returns a `Job` that does one timed run."""
