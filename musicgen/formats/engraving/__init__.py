"""Scores as SVG, PNG and PDF: a page of music for every tune, a tunebook for many."""
