"""Disk, child processes, workers, charts: the machine as the rest of the package uses it."""
