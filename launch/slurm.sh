#!/usr/bin/env bash
# Slurm: one process a node, all its GPUs; JAX finds the others from Slurm's environment.
# Usage: launch/slurm.sh [--dry-run] --nodes N --gpus-per-node G [--time H:MM:SS] -- --config FILE --workdir DIR [...]
#        What else sbatch should know (partition, account) goes into SBATCH_* variables, as usual.
set -euo pipefail

# Where no environment is active: the one that the README makes.
venv=$(cd "$(dirname "$0")/.." && pwd)/.venv/bin/python
if [[ -n ${VIRTUAL_ENV:-} || ! -x $venv ]]; then venv=python; fi
python=${PYTHON:-$venv}

dry_run=false
nodes=1
gpus=1
limit=24:00:00
while [[ $# -gt 0 ]]; do
  case $1 in
    --dry-run) dry_run=true; shift ;;
    --nodes) nodes=$2; shift 2 ;;
    --gpus-per-node) gpus=$2; shift 2 ;;
    --time) limit=$2; shift 2 ;;
    --) shift; break ;;
    *) echo "$0: unknown option $1; put -- before the options of fairjax.main" >&2; exit 2 ;;
  esac
done
if [[ $# -eq 0 ]]; then
  echo "usage: $0 [--dry-run] --nodes N --gpus-per-node G [--time H:MM:SS] -- --config FILE --workdir DIR [...]" >&2
  exit 2
fi

distributed=()
if [[ $nodes -gt 1 ]]; then distributed=(--distributed); fi
printf -v run '%q ' srun --kill-on-bad-exit=1 "$python" -m fairjax.main "${distributed[@]}" "$@"
# SIGTERM reaches every process two minutes before the limit: each saves, and the same line goes on.
# After a node failure or preemption Slurm requeues by itself.
submit=(
  sbatch --nodes="$nodes" --ntasks-per-node=1 --gpus-per-node="$gpus" --time="$limit"
  --signal=TERM@120 --requeue --job-name=fairjax --wrap="$run"
)
if $dry_run; then printf '%q ' "${submit[@]}"; echo; exit; fi
exec "${submit[@]}"
