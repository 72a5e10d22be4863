"""Signing in, staying so, and signing out.

A session is a secret in a cookie, of which the server keeps the hash. Each sign-in makes a new
one: what a browser bore before means nothing. Not here: the cookie (``web.dashboard.door``).
"""

from __future__ import annotations

import contextlib
import hmac
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from update_server.service.access.lock_out import Attempt, LockOut
from update_server.service.access.operators import new_link
from update_server.service.access.passwords import is_short_enough
from update_server.service.agents.pseudonyms import hash_of_secret
from update_server.service.agents.refresh import PEPPER
from update_server.service.errors import (
    BadSessionError,
    BadSignInError,
    NoPasswordError,
    WrongPasswordError,
)
from update_server.service.ports import (
    Clock,
    Database,
    Ids,
    NotFoundError,
    Stores,
    UnavailableError,
)
from update_server.service.ports.operators import (
    TOUCH,
    Failures,
    Operator,
    Session,
    SignedInBy,
)
from update_server.service.ports.passwords import Passwords

CHANGE_LIFE: Final = timedelta(minutes=10)
"""How long somebody may take to choose another password than the one they were given."""

BROWSER_LIFE: Final = timedelta(days=90)
"""How long a browser is known in which somebody signed in."""

_MAX_BROWSER: Final = 256
_TOLD_AN_HOUR: Final = 30
_HOUR: Final = timedelta(hours=1)
_TOLD: Final = "failures in the audit log"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """Somebody is signed in by ``secret``."""

    operator: Operator
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class MustChange:
    """The password was right, and somebody else had chosen it: ``link`` sets another one."""

    operator: Operator
    link: str = field(repr=False)


class SignIn:
    """Sessions of operators.

    Those who are signed in have their passwords checked by ``again``: so that they need not wait
    behind strangers.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        ids: Ids,
        *,
        passwords: Passwords,
        lock_out: LockOut,
        again: Passwords | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._passwords = passwords
        self._again = again or passwords
        self._lock_out = lock_out

    # --- in ------------------------------------------------------------------------------

    def by_password(
        self, name: str, password: str, address: str, browser: str = ""
    ) -> SignedIn | MustChange:
        """Sign *name* in, who is at *address*. *browser*: see ``browser_of``.

        Raises:
            BadSignInError: The two do not belong together; that is all that is told.
            TooManyFailuresError: It went wrong too often.
            UnavailableError: Too many passwords are being checked, or the database is away.
        """
        operator = self._named(name)
        attempt = self._lock_out.begin(name, address, self._known_browser(operator, browser))
        if not self._fits(self._passwords, attempt, operator, password) or operator is None:
            self._audit_failure(operator, attempt.failures)
            raise BadSignInError
        rehashed = self._rehashed(operator, password)
        with self._database.transaction() as stores:
            # Meanwhile it may have been changed, or its operator removed.
            if not _is_still(stores, operator):
                raise BadSignInError
            self._lock_out.succeeded(stores, attempt)
            if rehashed is not None:
                stores.operators.update(rehashed)
            return self._let_in(stores, rehashed or operator)

    def by_identity(self, identity: str) -> SignedIn:
        """Sign in whoever the provider calls *identity*.

        A password that somebody else chose stays to be changed by who knows it: else the
        provider's word would set one, and so approve (docs/adr/0029).

        Raises:
            BadSignInError: No operator is called so.
        """
        try:
            with self._database.transaction() as stores:
                operator = stores.operators.identified(identity)
                return self.begin(stores, operator, SignedInBy.OIDC)
        except NotFoundError as error:
            self._audit_failure(None, 1)
            raise BadSignInError from error

    def _let_in(self, stores: Stores, operator: Operator) -> SignedIn | MustChange:
        if operator.must_change:
            link = new_link(stores, self._clock, self._ids, operator, CHANGE_LIFE)
            self._audit(stores, "link", operator)
            return MustChange(operator=operator, link=link)
        return self.begin(stores, operator, SignedInBy.PASSWORD)

    def begin(self, stores: Stores, operator: Operator, by: SignedInBy) -> SignedIn:
        """Begin a session of *operator*, who has shown who they are."""
        now = self._clock.now()
        secret = self._ids.secret("")
        stores.operators.forget_sessions(now)
        stores.operators.add_session(
            Session(
                sha256=hash_of_secret(secret),
                operator_id=operator.id,
                created_at=now,
                seen_at=now,
                by=by,
            )
        )
        self._audit(stores, "sign_in", operator, by=by.value)
        return SignedIn(operator=operator, secret=secret)

    def browser_of(self, operator: Operator) -> str:
        """Return what a browser shows in which *operator* signed in, when they do so again.

        It opens nothing. But failures of strangers are no longer counted against who shows it.
        """
        name = self._ids.secret("")
        return f"{name}.{self._mark(operator, name)}"

    def _known_browser(self, operator: Operator | None, shown: str) -> str:
        name, _, mark = shown.partition(".")
        if operator is None or not shown.isascii() or len(shown) > _MAX_BROWSER:
            return ""
        return name if hmac.compare_digest(self._mark(operator, name), mark) else ""

    def _mark(self, operator: Operator, browser: str) -> str:
        told = f"{operator.id}\0{browser}".encode()
        return hmac.digest(self.key("browser"), told, "sha256").hex()

    def key(self, of: str) -> bytes:
        """Return the server's own key for what is called *of*."""
        with self._database.reading() as stores:
            pepper = stores.access.secret(PEPPER)
        return hmac.digest(pepper, f"sign-in key\0{of}".encode(), "sha256")

    # --- meanwhile -----------------------------------------------------------------------

    def check(self, secret: str) -> tuple[Session, Operator]:
        """Return the session that *secret* is, and whose. Seldom writes.

        Raises:
            BadSessionError: There is none, or it has ended.
        """
        now, sha256 = self._clock.now(), hash_of_secret(secret)
        try:
            with self._database.reading() as stores:
                session, operator = stores.operators.session(sha256)
        except NotFoundError as error:
            raise BadSessionError from error
        if not session.is_live(now) or not operator.is_live(now):
            raise BadSessionError
        if operator.must_change and session.by is SignedInBy.PASSWORD:
            raise BadSessionError
        if now - session.seen_at >= TOUCH:
            # Somebody else may be writing for long: nobody's page fails for that.
            with contextlib.suppress(UnavailableError), self._database.transaction() as stores:
                stores.operators.touch_session(sha256, now)
        return session, operator

    def confirm(self, operator_id: str, password: str) -> Operator:
        """Return who is signed in, if *password* is theirs: it is asked for again.

        Raises:
            WrongPasswordError: It is not. Failures are counted apart from those to sign in: what
                strangers do keeps nobody from approving who is signed in.
            NoPasswordError: They have none.
            TooManyFailuresError, UnavailableError: See ``by_password``.
        """
        with self._database.reading() as stores:
            operator = stores.operators.get(operator_id)
        if operator.password is None or operator.must_change:
            raise NoPasswordError
        attempt = self._lock_out.begin_again(operator_id)
        if not self._fits(self._again, attempt, operator, password):
            self._audit_failure(operator, attempt.failures, by=operator.name)
            raise WrongPasswordError
        with self._database.transaction() as stores:
            if not _is_still(stores, operator):
                raise WrongPasswordError
            self._lock_out.succeeded(stores, attempt)
        return operator

    # --- out -----------------------------------------------------------------------------

    def out(self, secret: str) -> None:
        """End the session that *secret* is. It may have ended already."""
        sha256 = hash_of_secret(secret)
        with self._database.transaction() as stores, contextlib.suppress(NotFoundError):
            _, operator = stores.operators.session(sha256)
            stores.operators.end_session(sha256)
            self._audit(stores, "sign_out", operator)

    def _audit(self, stores: Stores, action: str, operator: Operator, **after: str) -> None:
        stores.audit.append(
            at=self._clock.now(),
            actor=operator.name,
            action=f"operator.{action}",
            app=operator.app,
            subject=operator.id,
            after=after,
        )

    # --- passwords -----------------------------------------------------------------------

    def _named(self, name: str) -> Operator | None:
        try:
            with self._database.reading() as stores:
                return stores.operators.named(name)
        except NotFoundError:
            return None

    def _fits(
        self, passwords: Passwords, attempt: Attempt, operator: Operator | None, password: str
    ) -> bool:
        """Tell whether *password* is the operator's, after the same work whoever they are."""
        if not is_short_enough(password):
            return False  # it is nobody's
        try:
            if operator is None or operator.password is None:
                passwords.waste(password)
                return False
            return passwords.matches(operator.password, password)
        except Exception:
            self._lock_out.undo(attempt)
            raise

    def _rehashed(self, operator: Operator, password: str) -> Operator | None:
        if operator.password is None or not self._passwords.is_dated(operator.password):
            return None
        return replace(operator, password=self._passwords.hashed(password))

    def _audit_failure(
        self, operator: Operator | None, failures: int, *, by: str = "somebody"
    ) -> None:
        """Record a failure; so many in an hour at most, for whoever guesses must not fill the log.

        A name that is nobody's is not recorded: people type passwords into the wrong field.
        """
        now = self._clock.now()
        with self._database.transaction() as stores:
            known = stores.operators.failures([_TOLD]).get(_TOLD)
            if known is None or known.until <= now:
                known = Failures(key=_TOLD, count=0, last_at=now, until=now + _HOUR)
            if known.count >= _TOLD_AN_HOUR:
                return
            known = replace(known, count=known.count + 1, last_at=now)
            stores.operators.put_failures(known)
            is_last = known.count == _TOLD_AN_HOUR
            stores.audit.append(
                at=now,
                actor=by,
                action="operator.sign_in_failed",
                app=None if operator is None else operator.app,
                subject="unknown name" if operator is None else operator.id,
                reason="no more are recorded within this hour" if is_last else "",
                after={"failures": failures},
            )


def _is_still(stores: Stores, operator: Operator) -> bool:
    return stores.operators.get(operator.id) == operator
