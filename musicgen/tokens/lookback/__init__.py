"""Lookback: the token at the same place some bars earlier, and the longest earlier match."""
