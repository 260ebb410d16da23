#!/usr/bin/env bash
# Measures training steps, attention and the input pipeline on this machine's accelerator.
# Usage: benchmarks/accelerator.sh [--tiny] [--repeats N]      (under eight minutes on one GPU)
set -euo pipefail
cd "$(dirname "$0")/.."

venv=.venv/bin/python
if [[ -n ${VIRTUAL_ENV:-} || ! -x $venv ]]; then venv=python; fi
exec "${PYTHON:-$venv}" benchmarks/accelerator.py "$@"
