"""Scores as SVG, PNG and PDF: a page for one tune, a tunebook for several."""
