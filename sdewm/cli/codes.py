"""What the exit codes mean."""

# As expected; another verdict; a wrong argument; work is left or has failed; interrupted by its user.
OK, OTHER, USAGE, UNFINISHED, INTERRUPTED = 0, 1, 2, 3, 130
