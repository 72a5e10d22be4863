"""An OpenID Connect provider, asked who somebody is: code flow, with PKCE, state and nonce.

Authlib speaks the protocol. Here is what it leaves to its users: that tokens are for this server
(``aud``), come from the provider that the settings name (``iss``), and are signed by a key of the
provider's, not by a secret that others share or by nothing.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from update_server.config_dashboard import Oidc
from update_server.web.errors import OidcRefusedError, OidcUnavailableError

_log = logging.getLogger(__name__)

_TIMEOUT_SECONDS: Final = 5.0
_LEEWAY_SECONDS: Final = 60
AT_ONCE: Final = 4
"""Who asks beyond is told that it does not answer. Anybody can have it asked, and each who waits
for a provider that hangs holds a thread through which others press the brake."""
_ALGORITHMS: Final = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
)
_SCOPES: Final = {"email": "openid email", "sub": "openid"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """Where to send somebody, and what must be known again when they come back."""

    url: str
    state: str
    nonce: str
    verifier: str


class Provider:
    """The provider of the settings. Nothing is asked of it before somebody wants to sign in."""

    def __init__(self, settings: Oidc, back: str) -> None:
        self._settings = settings
        self._back = back
        self._client: Any = None
        self._turns = threading.BoundedSemaphore(AT_ONCE)

    def begin(self) -> Begun:
        """Return where the provider asks who somebody is. Raises OidcUnavailableError."""
        with self._asked():
            told = self._ready().create_authorization_url(self._back)
            return Begun(
                url=told["url"],
                state=told["state"],
                nonce=told["nonce"],
                verifier=told["code_verifier"],
            )

    def finish(self, begun: Begun, code: str) -> str:
        """Return the identity of who came back with *code*.

        Raises:
            OidcRefusedError: The provider does not tell one that would do.
            OidcUnavailableError: It does not answer.
        """
        with self._asked():
            client = self._ready()
            token = client.fetch_access_token(
                redirect_uri=self._back, code=code, code_verifier=begun.verifier
            )
            client.fetch_jwk_set()
        with self._turn(), _read():  # an unknown key has it asked for its keys again
            # Authlib compares neither ``iss`` nor ``aud`` with anything unless it is told to.
            claims = client.parse_id_token(
                token,
                nonce=begun.nonce,
                leeway=_LEEWAY_SECONDS,
                claims_options={
                    "iss": {"essential": True, "value": self._settings.issuer},
                    "aud": {"essential": True, "value": self._settings.client_id},
                    "nonce": {"essential": True, "value": begun.nonce},
                },
            )
        return self._identity(claims or {})

    @contextmanager
    def _asked(self) -> Iterator[None]:
        """Raise what says whose fault it is that the provider did not do as it was asked."""
        from authlib.integrations.base_client import OAuthError  # noqa: PLC0415 - as below

        try:
            with self._turn():
                yield
        except OAuthError as error:  # the code was used before, is of another flow, or made up
            _log.warning("the provider refused a code: %s", error.error)
            raise OidcRefusedError from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
            _log.warning("the provider does not do as one: %s", type(error).__name__)
            self._client = None  # it may have moved
            raise OidcUnavailableError from error

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._turns.acquire(blocking=False):
            raise OidcUnavailableError
        try:
            yield
        finally:
            self._turns.release()

    def _identity(self, claims: dict[str, Any]) -> str:
        identity = claims.get(self._settings.claim)
        if not isinstance(identity, str) or not identity:
            _log.warning("the provider told no %s", self._settings.claim)
            raise OidcRefusedError
        if self._settings.claim == "sub":
            return identity
        # Whoever may write any address into their account would be anybody.
        if claims.get("email_verified") is not True:
            _log.warning("the provider has not verified an email")
            raise OidcRefusedError
        return identity.lower()

    def _ready(self) -> Any:
        """Return the client, after the provider described itself."""
        if self._client is not None:
            return self._client
        client = self._new_client()
        described = client.load_server_metadata()
        if described.get("issuer") != self._settings.issuer:
            raise ValueError("the provider calls itself by another name")
        offered = described.get("id_token_signing_alg_values_supported", ["RS256"])
        described["id_token_signing_alg_values_supported"] = [
            name for name in _ALGORITHMS if name in offered
        ]
        self._client = client
        return client

    def _new_client(self) -> Any:
        # Slow to import, and seldom wanted.
        from authlib.integrations.flask_client import (  # noqa: PLC0415
            FlaskIntegration,
            FlaskOAuth2App,
        )

        settings = self._settings
        return FlaskOAuth2App(
            FlaskIntegration("oidc"),
            name="oidc",
            client_id=settings.client_id,
            client_secret=settings.client_secret_file.read_text(encoding="utf-8").strip(),
            server_metadata_url=f"{settings.issuer.rstrip('/')}/.well-known/openid-configuration",
            client_kwargs={
                "scope": _SCOPES[settings.claim],
                "code_challenge_method": "S256",
                "default_timeout": _TIMEOUT_SECONDS,
            },
        )


@contextmanager
def _read() -> Iterator[None]:
    """Raise OidcRefusedError for whatever is wrong with a token, and OidcUnavailableError."""
    from joserfc.errors import JoseError  # noqa: PLC0415 - as above

    try:
        yield
    except OSError as error:
        raise OidcUnavailableError from error
    except (JoseError, ValueError, KeyError, TypeError, AttributeError) as error:
        _log.warning("the provider's token lets nobody in: %s", type(error).__name__)
        raise OidcRefusedError from error
