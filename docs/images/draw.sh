#!/bin/sh
# Draws the pictures of the docs beside this script, all from made-up scores and generated faces:
#   report.png  first screen of an audit's report    run.png    first screen of a run's report
#   study.png   first screen of a study's page       phantom.png  generated faces
# Needs fairjax with the extra `train` and chromium on the path; takes some minutes.
# Usage: docs/images/draw.sh [report|run|study|phantom ...]: only these; without words, all.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"

# picture PAGE NAME: the first screen of PAGE as NAME.png, in few colours.
picture() {
  chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --user-data-dir="$scratch/profile" \
    --virtual-time-budget=2000 --window-size=1200,980 --screenshot="$scratch/page.png" "file://$1"
  python3 - "$scratch/page.png" "$here/$2.png" <<'PYTHON'
import sys

from PIL import Image

Image.open(sys.argv[1]).convert("P", palette=Image.Palette.ADAPTIVE, colors=64).save(sys.argv[2], optimize=True)
PYTHON
}

for name in "${@:-all}"; do
  case $name in report | all)
    fairjax audit --demo --out "$scratch/audit"
    picture "$scratch/audit/report.html" report
    ;;
  esac
  case $name in run | all)
    python3 -m fairjax.main --config quickstart:smoke --workdir "$scratch/run"
    picture "$scratch/run/report.html" run
    ;;
  esac
  case $name in study | all)
    python3 -m fairjax.main --config studies/fpr_consistency:smoke --workdir "$scratch/study"
    picture "$scratch/study/report.html" study
    ;;
  esac
  case $name in phantom | all)
    python3 - "$here/phantom.png" <<'PYTHON'
import sys

from PIL import Image

from fairjax.data import phantom

sheet = phantom.contact_sheet(seed=0, image_size=96, identities=4, images=8, differential=phantom.NEUTRAL)
Image.fromarray(sheet).save(sys.argv[1], optimize=True)
PYTHON
    ;;
  esac
done
