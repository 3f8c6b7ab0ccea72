"""What browsers are told with every answer, so that a page of ours runs nothing but ours."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PAGE_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "manifest-src 'self'",
        "worker-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""For pages and scripts: a service worker obeys the policy that came with its own script."""
API_POLICY = "default-src 'none'; frame-ancestors 'none'"
"""For everything else: if a browser were ever to take an answer for a page, nothing in it would run."""
_PAGE_TYPES = frozenset({"text/html", "text/javascript", "application/javascript"})
ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    # CORS_ORIGINS stays possible: this holds for what is embedded without asking, as <img> and <script> do.
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), geolocation=(), microphone=(), payment=(), usb=()",
}
_HSTS = "max-age=31536000"
"""A year, for this name alone: what else lives under its domain is not ours to decide."""


class SecurityHeaders:
    """Stamps every answer of the application; a route that needs another policy sets its own."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def stamped_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in ALWAYS.items():
                    headers[name] = value
                headers.setdefault("Content-Security-Policy", _policy(headers.get("content-type", "")))
                # Only a TLS connection makes it so: the scheme is what a trusted proxy said, or http.
                if scope.get("scheme") == "https":
                    headers["Strict-Transport-Security"] = _HSTS
            await send(message)

        await self.app(scope, receive, stamped_send)


def _policy(content_type: str) -> str:
    return PAGE_POLICY if content_type.partition(";")[0].strip().lower() in _PAGE_TYPES else API_POLICY
