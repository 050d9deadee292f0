#!/usr/bin/env bash
# Train the shipped models anew, evaluate the default on the test families, put them into checkpoints/.
# Not quite two hours on one CPU core.
set -euo pipefail
cd "$(dirname "$0")/../.."
run="${1:-runs/celtic}"
musicgen train --corpus celtic --preset lstm --epochs 40 --out "$run" \
    --set model.d_model=384 --set model.dropout=0.5 --set model.embedding_dropout=0.2 \
    --set model.weight_dropout=0.2 --set patience=0
python scripts/fitting/calibration.py "$run" --corpus celtic --out "$run-calibrated"
python scripts/fitting/critic.py "$run-calibrated" --corpus celtic
musicgen evaluate --checkpoint "$run-calibrated" -n 500 --seed 0 --force \
    --json "$run/evaluation.json" --report "$run/evaluation.html"
python scripts/fitting/publish.py "$run-calibrated" checkpoints/celtic --corpus celtic \
    --evaluation "$run/evaluation.json"

# A transformer for comparison, and for `musicgen inspect attention`.
musicgen train --corpus celtic --preset transformer --epochs 12 --out "$run-transformer"
python scripts/fitting/publish.py "$run-transformer" checkpoints/celtic-transformer --corpus celtic

# The recurrent network written from scratch, for comparison: 390 CPU-seconds.
musicgen train --corpus celtic --preset rnn --epochs 10 --out "$run-rnn" \
    --set model.d_model=224 --set patience=0
python scripts/fitting/publish.py "$run-rnn" checkpoints/celtic-rnn --corpus celtic
