#!/usr/bin/env bash
# TPU pod: the same line on every host of a slice; JAX finds the others from the TPU runtime.
# Usage: launch/tpu_pod.sh [--dry-run] --name TPU --zone ZONE [--directory DIR] -- --config FILE --workdir DIR [...]
#        DIR is the checkout on the hosts; --workdir must be a folder that all of them share.
set -euo pipefail

dry_run=false
name=
zone=
directory=fairjax
while [[ $# -gt 0 ]]; do
  case $1 in
    --dry-run) dry_run=true; shift ;;
    --name) name=$2; shift 2 ;;
    --zone) zone=$2; shift 2 ;;
    --directory) directory=$2; shift 2 ;;
    --) shift; break ;;
    *) echo "$0: unknown option $1; put -- before the options of fairjax.main" >&2; exit 2 ;;
  esac
done
if [[ -z $name || -z $zone || $# -eq 0 ]]; then
  echo "usage: $0 [--dry-run] --name TPU --zone ZONE [--directory DIR] -- --config FILE --workdir DIR [...]" >&2
  exit 2
fi

printf -v run '%q ' .venv/bin/python -m fairjax.main --distributed "$@"
printf -v remote 'cd %q && %s' "$directory" "$run"
submit=(gcloud compute tpus tpu-vm ssh "$name" --zone="$zone" --worker=all --command="$remote")
if $dry_run; then printf '%q ' "${submit[@]}"; echo; exit; fi
exec "${submit[@]}"
