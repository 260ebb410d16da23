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

FAIRJAX_LAUNCH=$(printf '%q ' "$0" --processes "$processes" "$@") # what they print to resume
export FAIRJAX_LAUNCH
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
exec 3>&2 2>/dev/null # or bash itself reports a process that was killed
status=0
deadline=0
running=("${!pids[@]}")
while [[ ${#running[@]} -gt 0 ]]; do
  sleep 0.2
  still=()
  for process in "${running[@]}"; do
    if kill -0 "${pids[process]}"; then still+=("$process"); continue; fi
    code=0
    wait "${pids[process]}" || code=$?
    if [[ $code -eq 0 ]]; then continue; fi
    if [[ $status -eq 0 ]]; then status=$code; fi
    # A process that was asked to stop saves, and so do the others. After a fault they leave by
    # themselves, unless they still wait for it to come.
    if [[ $asked -eq 0 && $deadline -eq 0 && ! $code =~ ^(129|130|143)$ ]]; then
      deadline=$((SECONDS + ${FAIRJAX_GRACE:-10}))
      first="process $process ended with exit code $code"
    fi
  done
  running=(${still[@]+"${still[@]}"})
  if [[ $deadline -ne 0 && $SECONDS -ge $deadline && ${#running[@]} -gt 0 ]]; then
    echo "$0: $first; the others are still there and are asked to stop." >&3
    kill -TERM "${pids[@]}" || true
    deadline=$((SECONDS + 600))
  fi
done
if [[ $asked -ne 0 ]]; then status=$asked; fi
exit "$status"
