"""The pages of the password: plain forms, without scripts or anything to load."""

from __future__ import annotations

import base64
import hashlib
from html import escape

from starlette.responses import HTMLResponse

_STYLE = """
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { min-height: 100vh; margin: 0; display: grid; place-items: center; }
main { width: min(20rem, 90vw); }
h1 { font-size: 1.5rem; margin: 0 0 1rem; }
label { display: block; font-weight: 600; }
input, button { box-sizing: border-box; width: 100%; margin: .25rem 0 1rem; padding: .6rem .75rem; font: inherit;
  border: 1px solid GrayText; border-radius: .5rem; }
button { border-color: #4338ca; background: #4338ca; color: #fff; font-weight: 600; cursor: pointer; }
:focus-visible { outline: 3px solid #818cf8; outline-offset: 2px; }
.wrong { padding: .5rem .75rem; border-left: 4px solid #dc2626; }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = "; ".join(
    (
        "default-src 'none'",
        f"style-src 'sha256-{_STYLE_HASH}'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
_FRAME = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} – VideoLLM</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
{content}
</main>
</body>
</html>
"""
_LOGIN = """\
{wrong}<form method="post" action="/login">
<input type="hidden" name="next" value="{following}">
<input name="username" value="videollm" autocomplete="username" hidden>
<label for="password">Password</label>
<input type="password" id="password" name="password" required autofocus autocomplete="current-password"{marks}>
<button>Log in</button>
</form>
<p>Staying logged in takes a cookie.</p>"""
_LOGOUT = '<form method="post" action="/logout"><button>Log out</button></form>\n<p><a href="/">Back</a></p>'


def login_page(
    following: str, wrong: str = "", status: int = 200, retry_after_s: int | None = None
) -> HTMLResponse:
    """Returns the form that asks for the password.

    Args:
        following: The path to go to afterwards.
        wrong: What was wrong with the last attempt.
        status: The HTTP status.
        retry_after_s: Seconds to wait before the next attempt.
    """
    told = f'<p class="wrong" role="alert" id="wrong">{escape(wrong)}</p>\n' if wrong else ""
    marks = ' aria-invalid="true" aria-describedby="wrong"' if wrong else ""
    content = _LOGIN.format(wrong=told, following=escape(following), marks=marks)
    response = _page("Log in", content, status)
    if retry_after_s is not None:
        response.headers["Retry-After"] = str(retry_after_s)
    return response


def logout_page() -> HTMLResponse:
    """Returns the form that logs out."""
    return _page("Log out", _LOGOUT)


def _page(title: str, content: str, status: int = 200) -> HTMLResponse:
    text = _FRAME.format(title=title, style=_STYLE, content=content)
    return HTMLResponse(text, status, {"Content-Security-Policy": _POLICY, "Cache-Control": "no-store"})
