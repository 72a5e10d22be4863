"""What people do about their own password: set it by a link, change it, end other sessions."""

from __future__ import annotations

from dataclasses import replace

from update_server.service.access.passwords import check_new_password
from update_server.service.access.sign_in import SignedIn, SignIn
from update_server.service.agents.pseudonyms import hash_of_secret
from update_server.service.errors import BadLinkError, BadSessionError, BadValueError
from update_server.service.ports import Clock, Database, NotFoundError, Stores
from update_server.service.ports.operators import Operator, SignedInBy
from update_server.service.ports.passwords import Passwords
from update_server.service.rollouts.asks import take_back


class OwnPassword:
    """Passwords that nobody knows but who has them."""

    def __init__(
        self, database: Database, clock: Clock, *, passwords: Passwords, sign_in: SignIn
    ) -> None:
        self._database = database
        self._clock = clock
        self._passwords = passwords
        self._sign_in = sign_in

    def offered(self, link: str) -> Operator:
        """Return whose password *link* sets. Raises BadLinkError."""
        with self._database.reading() as stores:
            return self._linked(stores, link)

    def set_by_link(self, link: str, new: str) -> SignedIn:
        """Set the password that *link* is for, and sign its operator in. It works once.

        Raises:
            BadLinkError: It is none, or none any more.
            BadValueError: *new* cannot be the password, or is the one that was to be changed.
        """
        operator = self.offered(link)
        check_new_password(new, operator.name)
        if operator.password is not None and self._passwords.matches(operator.password, new):
            raise BadValueError("password", "somebody else knows this one: choose another")
        stored = self._passwords.hashed(new)
        with self._database.transaction() as stores:
            if self._linked(stores, link) != operator:
                raise BadLinkError
            stores.operators.drop_link(operator.id)
            return self._put(stores, operator, stored, SignedInBy.PASSWORD)

    def change(self, operator_id: str, old: str, new: str) -> SignedIn:
        """Change a password, which ends all sessions; return the one that goes on.

        Raises:
            BadValueError: *new* cannot be the password.
            WrongPasswordError, TooManyFailuresError, NoPasswordError: *old* is not what it was.
        """
        operator = self._sign_in.confirm(operator_id, old)
        check_new_password(new, operator.name, "new")
        stored = self._passwords.hashed(new)
        with self._database.transaction() as stores:
            if stores.operators.get(operator_id) != operator:
                raise BadSessionError
            return self._put(stores, operator, stored, SignedInBy.PASSWORD)

    def end_other_sessions(self, operator_id: str, secret: str) -> int:
        """End all sessions of an operator but the one that *secret* is; return how many."""
        with self._database.transaction() as stores:
            operator = stores.operators.get(operator_id)
            ended = stores.operators.end_sessions(operator_id, but=hash_of_secret(secret))
            if ended:
                stores.audit.append(
                    at=self._clock.now(),
                    actor=operator.name,
                    action="operator.sign_out",
                    app=operator.app,
                    subject=operator.id,
                    after={"sessions": ended},
                )
            return ended

    def _put(self, stores: Stores, operator: Operator, stored: str, by: SignedInBy) -> SignedIn:
        now = self._clock.now()
        changed = replace(operator, password=stored, password_set_at=now, must_change=False)
        stores.operators.update(changed)
        stores.operators.end_sessions(operator.id)
        take_back(stores, operator.id)  # the signer takes its tickets no more
        stores.audit.append(
            at=now,
            actor=operator.name,
            action="operator.password",
            app=operator.app,
            subject=operator.id,
        )
        return self._sign_in.begin(stores, changed, by)

    def _linked(self, stores: Stores, link: str) -> Operator:
        try:
            known = stores.operators.link(hash_of_secret(link), self._clock.now())
        except NotFoundError as error:
            raise BadLinkError from error
        operator = stores.operators.get(known.operator_id)
        if operator.removed_at is not None:
            raise BadLinkError
        return operator
