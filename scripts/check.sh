#!/usr/bin/env bash
# All that must hold before a change lands: format, lint, types, import contracts, and the tests
# unless told --no-tests.
set -euo pipefail
cd "$(dirname "$0")/.."
python -m ruff format --check .
python -m ruff check .
python -m mypy
lint-imports
if [[ "${1:-}" != --no-tests ]]; then
    python -m pytest
fi
