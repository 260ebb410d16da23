#!/usr/bin/env bash
# One host: every device of this machine in one process, or several processes over loopback.
# Usage: launch/local.sh [--dry-run] [--processes N] --config FILE --workdir DIR [...]
set -euo pipefail

# Where no environment is active: the one that the README makes.
venv=$(cd "$(dirname "$0")/.." && pwd)/.venv/bin/python
if [[ -n ${VIRTUAL_ENV:-} || ! -x $venv ]]; then venv=python; fi
python=${PYTHON:-$venv}

dry_run=false
processes=1
while [[ $# -gt 0 ]]; do
  case $1 in
    --dry-run) dry_run=true; shift ;;
    --processes) processes=$2; shift 2 ;;
    *) break ;;
  esac
done
if [[ $# -eq 0 ]]; then
  echo "usage: $0 [--dry-run] [--processes N] --config FILE --workdir DIR [...]" >&2
  exit 2
fi

run=("$python" -m fairjax.main "$@")
if [[ $processes -eq 1 ]]; then
  if $dry_run; then printf '%q ' "${run[@]}"; echo; exit; fi
  exec "${run[@]}"
fi

export FAIRJAX_PARENT=$$ # so that they end, too, if this script is killed
port=${PORT:-$((20000 + RANDOM % 10000))}
pids=()
asked=0
# shellcheck disable=SC2329  # the traps call it
pass_on() {
  asked=$((128 + $1))
  kill -TERM "${pids[@]}" 2>/dev/null || true
}
trap 'pass_on 1' HUP
trap 'pass_on 2' INT
trap 'pass_on 15' TERM
for ((process = 0; process < processes; process++)); do
  command=("${run[@]}" --coordinator="127.0.0.1:$port" --processes="$processes" --process="$process")
  if $dry_run; then printf '%q ' "${command[@]}"; echo; continue; fi
  "${command[@]}" &
  pids+=("$!")
done
status=0
for pid in "${pids[@]}"; do
  while true; do
    code=0
    wait "$pid" || code=$?
    # A signal interrupts the wait; the process saves, so it is waited for again.
    if ! kill -0 "$pid" 2>/dev/null; then break; fi
  done
  if [[ $code -ne 0 ]]; then status=$code; fi
done
if [[ $asked -ne 0 ]]; then status=$asked; fi
exit "$status"
