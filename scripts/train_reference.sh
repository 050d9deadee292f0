#!/usr/bin/env bash
# Train the shipped model anew, score it on the test families and put it into checkpoints/.
# About half an hour on one CPU core.
set -euo pipefail
cd "$(dirname "$0")/.."
run="${1:-runs/celtic}"
musicgen train --corpus celtic --preset lstm --epochs 24 --out "$run" \
    --set model.d_model=384 --set model.dropout=0.3 --set patience=0
python scripts/publish_model.py "$run" checkpoints/celtic --corpus celtic
