"""Laws of what the door reads, for whatever anybody sends."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import quote, urljoin, urlsplit

from hypothesis import example, given
from hypothesis import strategies as st

from update_server.service.access.lock_out import LIMITS
from update_server.service.access.operators import check_name
from update_server.service.errors import BadValueError
from update_server.service.ports.access import person_called
from update_server.service.ports.approvals import parse_password, render_password
from update_server.web.dashboard.door import safe_path

_PATHS = st.text(alphabet="/\\.:@?#%a \t\n\r\x00é", max_size=12)


@given(_PATHS | st.text(max_size=40))
@example("//evil.example")
@example("/\\evil.example")
@example("/\t/evil.example")
@example("http:evil.example")
@example("/[")
def test_no_text_leads_to_another_site(text: str) -> None:
    led = urlsplit(urljoin("http://localhost/sign-in", safe_path(text)))

    assert (led.scheme, led.netloc) == ("http", "localhost")
    assert safe_path(text).isascii()
    assert not set(safe_path(text)) & set("\r\n\t\\\x00")


@given(st.text(max_size=40))
def test_a_path_of_ours_is_kept(text: str) -> None:
    path = f"/apps/{quote(text, safe='')}?x={quote(text, safe='')}"

    assert safe_path(path) == path


@given(st.text(max_size=70), st.text(max_size=100))
def test_what_a_password_approves_is_told_whole(name: str, password: str) -> None:
    assert parse_password(render_password(name, password)) == (name, password)


@given(st.text(max_size=60) | st.text(max_size=60).map("srp_".__add__))
def test_one_approval_has_one_spelling(text: str) -> None:
    told = parse_password(text)

    assert told is None or render_password(*told) == text


@given(st.sampled_from(sorted(LIMITS)), st.integers(min_value=0, max_value=10**9))
def test_a_delay_grows_and_ends(kind: str, count: int) -> None:
    limit = LIMITS[kind]

    assert timedelta() <= limit.delay(count) <= limit.delay(count + 1) <= limit.most
    assert (limit.delay(count) == timedelta()) == (count < limit.free)


@given(st.text(max_size=70))
def test_a_name_that_is_taken_hides_nothing(name: str) -> None:
    try:
        check_name(name)
    except BadValueError:
        return
    assert name.isprintable()
    assert name == name.strip()
    assert person_called(name)
    assert not set(name) & set('<>&"/\\:;()[]{}\u202e\u2066\u200b')
