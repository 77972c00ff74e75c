"""The sides of ``make bench-epoch``: ours, the peers and the limits, each a module that reads the same clips."""
