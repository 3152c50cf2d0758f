"""Small pages for people who follow a link: one design, no script, nothing loaded from anywhere."""

import base64
import hashlib
from html import escape
from typing import Final

_STYLE: Final = """
:root { color-scheme: light dark; --ground: #f3f5f8; --card: #fff; --rule: #dfe4ea; --strong: #14181f;
  --soft: #3b4450; --accent: #2459c8; --on-accent: #fff; --ring: #14181f; }
@media (prefers-color-scheme: dark) { :root { --ground: #111418; --card: #1b2026; --rule: #2d343d;
  --strong: #f2f4f7; --soft: #c3cad4; --accent: #8fb4ff; --on-accent: #0c1830; --ring: #f2f4f7; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 24px 16px;
  background: var(--ground); color: var(--soft);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; }
main { width: 100%; max-width: 440px; padding: 32px; background: var(--card); border: 1px solid var(--rule);
  border-radius: 12px; }
h1 { margin: 0 0 8px; font-size: 22px; line-height: 1.35; font-weight: 600; color: var(--strong); }
p { margin: 0; }
form { margin: 24px 0 0; }
button { width: 100%; min-height: 48px; padding: 10px 22px; border: 0; border-radius: 8px; font: inherit;
  font-weight: 600; background: var(--accent); color: var(--on-accent); cursor: pointer; }
button:hover { filter: brightness(1.08); }
button:focus-visible { outline: 3px solid var(--ring); outline-offset: 3px; }
"""
_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
PAGE_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        f"style-src 'sha256-{_HASH}'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""The Content-Security-Policy of these pages: their own style, and a form to where they came from."""


def page(title: str, text: str, *, button: str = "") -> bytes:
    """A page with one statement and, if ``button`` names it, one thing to do: POST to the page's own URL."""
    form = f'<form method="post"><button type="submit">{escape(button)}</button></form>' if button else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>{escape(title)}</h1>
<p>{escape(text)}</p>
{form}
</main>
</body>
</html>
""".encode()
