"""The report's first screen as a fragment of HTML, for a notebook's cell."""

import hashlib
import json
from dataclasses import asdict
from html import escape

from fairjax.core.results import Results
from fairjax.report.cards import card
from fairjax.report.summary import summarise
from fairjax.report.wording import printable


def notebook_html(results: Results, title: str) -> str:
    """Notes, verdict, its reasons and a bar for each group; no script, nothing loaded.

    Args:
      results: The numbers.
      title: Heading.
    """
    summary = summarise(results)
    kept = json.dumps([title, [asdict(m) for m in results.measures]]).encode()
    key = f"fairjax-{hashlib.sha256(kept).hexdigest()[:12]}"  # two audits may share a page
    headline, *sentences = summary.text or [summary.scope]
    parts = [
        f"<h4>{escape(printable(title))}</h4>",
        *(f"<p><small>Note: {escape(printable(limit))}</small></p>" for limit in results.limits),
        f"<p><strong>{escape(printable(headline))}</strong></p>",
        *(f"<p>{escape(printable(line))}</p>" for line in [*sentences, *summary.tolerances]),
    ]
    for index, quantity in enumerate(summary.compared):
        entry = card(quantity, f"{key}-{index}")
        parts.append(
            '<figure style="display:inline-block;margin:0 1em 1em 0">'
            f"<figcaption><strong>{escape(printable(entry.title))}</strong>: "
            f"{escape(printable(entry.badge))}<br><small>{escape(printable(entry.note))}</small>"
            f"</figcaption>{entry.figure}</figure>"
        )
    return f'<div style="background:#fff;color:#18202b;padding:0.5em">{"".join(parts)}</div>'
