"""Disk, child processes, workers, charts: what the rest needs of the machine."""
