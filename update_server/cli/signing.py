"""Sign upon the server's newest state and hand it in; again when somebody came first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from securesystemslib.signer import Signer

from signing.ceremony import is_released
from signing.drafts import Draft
from signing.errors import SigningError
from signing.keys import load_signer
from signing.state import RepositoryState
from update_server.cli import passphrase
from update_server.cli.api import app_path
from update_server.cli.command import Session
from update_server.cli.errors import CliError, ProblemError

Sign = Callable[[RepositoryState, Sequence[Signer]], Mapping[str, bytes]]

_TRIES = 4  # four publishers at once is a crowd


def submit(session: Session, roles: Sequence[str], sign: Sign) -> dict[str, Any]:
    """Have *sign* make new metadata with the workspace's keys for *roles*; hand it in.

    Raises:
        CliError: The server refused, or a key cannot be used.
    """
    workspace = session.need_workspace()
    ask = passphrase.known(session.console)
    uris = dict.fromkeys(workspace.key_uri(role) for role in roles)
    try:
        signers = [load_signer(uri, ask) for uri in uris]
        for last in (*[False] * (_TRIES - 1), True):
            state = current_state(session)
            metadata = sign(state, signers)
            try:
                return _post(session, state, metadata)
            except ProblemError as error:
                if error.code != "stale_base" or last:
                    raise
                session.console.say("somebody else published meanwhile; signing again upon that")
    except SigningError as error:
        raise CliError(error.code, str(error)) from error
    raise AssertionError("unreachable")


def signed_already(session: Session, drafts: Sequence[Draft]) -> bool:
    """Tell whether the server has all of *drafts*; raises CliError for one that is none."""
    state = current_state(session)
    try:
        return all(is_released(state, draft) for draft in drafts)
    except SigningError as error:
        raise CliError(error.code, str(error)) from error


def current_state(session: Session) -> RepositoryState:
    """Return the newest signed state of the session's app, as the server has it."""
    answer = session.api.get(app_path(session.app, "signing"))
    return RepositoryState(
        app=session.app,
        metadata={role: text.encode() for role, text in answer["metadata"].items()},
        highest=answer["versions"],
    )


def _post(
    session: Session, state: RepositoryState, metadata: Mapping[str, bytes]
) -> dict[str, Any]:
    versions = state.versions
    base = {role: versions[role] for role in metadata if role in versions}
    texts = {role: data.decode() for role, data in metadata.items()}
    return session.api.post(app_path(session.app, "signing"), {"metadata": texts, "base": base})
