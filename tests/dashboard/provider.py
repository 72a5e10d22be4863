"""An OpenID Connect provider: real HTTP, discovery, keys, code flow with PKCE, RS256.

``claims`` and the like change what it tells, so that a test can have it lie.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT_ID = "serinus-pages"
CLIENT_SECRET = "the client's secret"
KEY = RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})
FOREIGN_KEY = RSAKey.generate_key(2048, {"kid": "one"})


class Provider:
    """The provider, and what somebody does at it in a browser."""

    def __init__(self) -> None:
        self.claims: dict[str, Any] = {}
        self.without: tuple[str, ...] = ()
        self.key = KEY
        self.unsigned = False
        self.knows_pkce = True
        self.issuer_told: str | None = None
        self.algorithms = ["RS256"]
        self.codes: dict[str, dict[str, str]] = {}
        self.asked: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.issuer = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def sign_in(self, url: str) -> str:
        """Sign somebody in who was sent to *url*; return where they are sent back to."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert asked["response_type"] == "code"
        assert asked["client_id"] == CLIENT_ID
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe()
        self.codes[code] = asked
        back = urlencode({"code": code, "state": asked["state"], "iss": self.issuer})
        return f"{asked['redirect_uri']}?{back}"

    def describe(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer_told or self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": self.algorithms,
        }

    def token(self, told: dict[str, str]) -> dict[str, Any] | None:
        """Trade a code, once; None: it is none, or not for who brings it."""
        asked = self.codes.pop(told.get("code", ""), None)
        if asked is None or told.get("redirect_uri") != asked["redirect_uri"]:
            return None
        digest = hashlib.sha256(told.get("code_verifier", "").encode()).digest()
        shown = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if self.knows_pkce and shown != asked["code_challenge"]:
            return None
        return {
            "access_token": secrets.token_urlsafe(),
            "token_type": "Bearer",
            "expires_in": 60,
            "id_token": self.id_token(asked["nonce"]),
        }

    def id_token(self, nonce: str) -> str:
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "sub": "user-7",
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "nonce": nonce,
            "email": "ana@example.org",
            "email_verified": True,
        }
        claims = {
            name: value
            for name, value in {**claims, **self.claims}.items()
            if name not in self.without
        }
        if self.unsigned:
            parts = ({"alg": "none"}, claims)
            return ".".join(_text(json.dumps(part).encode()) for part in parts) + "."
        return jwt.encode({"alg": "RS256", "kid": "one"}, claims, self.key)


@contextmanager
def running() -> Iterator[Provider]:
    """Give a provider that runs."""
    provider = Provider()
    provider.start()
    try:
        yield provider
    finally:
        provider.stop()


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _handler(provider: Provider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            provider.asked.append(self.path)
            if self.path == "/.well-known/openid-configuration":
                self._answer(200, provider.describe())
            elif self.path == "/keys":
                self._answer(200, {"keys": [KEY.as_dict(private=False)]})
            else:
                self._answer(404, {})

        def do_POST(self) -> None:
            provider.asked.append(self.path)
            length = int(self.headers.get("Content-Length", "0"))
            told = {n: v[0] for n, v in parse_qs(self.rfile.read(length).decode()).items()}
            basic = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
            known = self.headers.get("Authorization") == f"Basic {basic}"
            token = provider.token(told) if known else None
            if token is None:
                self._answer(400, {"error": "invalid_grant"})
            else:
                self._answer(200, token)

        def _answer(self, status: int, document: dict[str, Any]) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
