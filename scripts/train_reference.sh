#!/usr/bin/env bash
# Train the shipped model anew, evaluate it on the test families and put it into checkpoints/.
# About half an hour on one CPU core.
set -euo pipefail
cd "$(dirname "$0")/.."
run="${1:-runs/celtic}"
musicgen train --corpus celtic --preset lstm --epochs 24 --out "$run" \
    --set model.d_model=384 --set model.dropout=0.3 --set patience=0
musicgen evaluate --checkpoint "$run" -n 500 --seed 0 --force \
    --json "$run/evaluation.json" --report "$run/evaluation.html"
python scripts/publish_model.py "$run" checkpoints/celtic --corpus celtic \
    --evaluation "$run/evaluation.json"
