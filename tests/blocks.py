"""The blocks of a Markdown page that can be pasted into an empty folder.

`python tests/blocks.py PAGE [HEADING]` prints them, one after the other, as one shell script.
"""

import re
import sys
from pathlib import Path

BLOCK = re.compile(r"^```(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def runnable(page: Path, heading: str = "") -> list[str]:
    """Blocks marked `sh`, but for those that make an environment.

    Args:
      page: A Markdown file.
      heading: The words of the only section that counts; "" counts the whole page.
    """
    text = page.read_text(encoding="utf-8")
    if heading:
        text = re.split(rf"^#+ {re.escape(heading)}$", text, flags=re.MULTILINE)[1]
        text = re.split(r"^## ", text, flags=re.MULTILINE)[0]
    blocks = [block for language, block in BLOCK.findall(text) if language == "sh"]
    return [block for block in blocks if not block.startswith("python3 -m venv")]


if __name__ == "__main__":
    print("\n".join(runnable(Path(sys.argv[1]), *sys.argv[2:])))
