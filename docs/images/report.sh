#!/bin/sh
# Draws report.png beside this script: the first screen of an audit of made-up scores with a planted gap.
# Needs fairjax and chromium on the path; writes nothing but the picture and a scratch folder.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
fairjax audit --demo --out "$scratch"
chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --user-data-dir="$scratch/profile" \
  --virtual-time-budget=2000 --window-size=1200,980 --screenshot="$scratch/page.png" "file://$scratch/report.html"
python3 - "$scratch/page.png" "$here/report.png" <<'PYTHON'
import sys

from PIL import Image

Image.open(sys.argv[1]).convert("P", palette=Image.Palette.ADAPTIVE, colors=64).save(sys.argv[2], optimize=True)
PYTHON
