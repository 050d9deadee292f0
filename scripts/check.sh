#!/usr/bin/env bash
# Format, lint, types, import contracts, tests: all that must hold before a change lands.
set -euo pipefail
cd "$(dirname "$0")/.."
python -m ruff format --check .
python -m ruff check .
python -m mypy
lint-imports
python -m pytest
