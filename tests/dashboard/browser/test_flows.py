"""What release captains do, from the link in an alert to what they came for."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.admin_world import APP
from tests.dashboard.browser import hands
from tests.dashboard.browser.chromium import PHONE, WITHOUT_SCRIPTS, a_window
from tests.dashboard.browser.hands import be_signed_in, refused, sign_in
from tests.dashboard.browser.pages import path_of
from tests.dashboard.browser.stage import NEW, OLD, Served
from tests.dashboard.browser.watch import Watch
from tests.dashboard.visitors import PASSWORD
from update_server.service.access.caller import Caller
from update_server.service.ports import Role

on_a_phone = pytest.mark.parametrize("look", [PHONE], ids=["phone"], indirect=True)
on_any_phone = pytest.mark.parametrize(
    "look", [PHONE, WITHOUT_SCRIPTS], ids=["phone", "no-scripts"], indirect=True
)


class Thumb:
    """Presses, and counts how often."""

    def __init__(self) -> None:
        self.presses = 0

    def press(self, target: Locator) -> None:
        self.presses += 1
        target.click()


def release(served: Served) -> str:
    return path_of("release", served.stage)


def audited(served: Served, verb: str) -> list[str]:
    """Return who did or tried a verb, oldest first, as the audit log has it."""
    with served.stage.world.database.reading() as stores:
        lines = stores.audit.page(app=APP, before_seq=None, limit=100)
    return [line.actor for line in reversed(lines) if line.action.endswith(f".{verb}")]


# --- coming in ---------------------------------------------------------------------------


def test_a_link_sets_the_first_password_and_signs_in(page: Page, served: Served) -> None:
    root = Caller(name="test", token_id="")
    operators = served.stage.world.services().operators
    _, link = operators.add(root, "cleo", Role.OPERATOR, APP)

    page.goto(f"{served.url}/set-password/{link}")
    for label in ("New password", "Again"):
        page.get_by_label(label).fill(PASSWORD)
    page.get_by_role("button", name="Set").click()

    expect(page).to_have_url(f"{served.url}/")
    expect(page.get_by_role("link", name="cleo")).to_be_visible()


@on_any_phone
def test_the_link_of_an_alert_leads_through_the_sign_in_to_the_release(
    page: Page, served: Served
) -> None:
    sign_in(page, served.url, "ana", to=release(served))

    expect(page.get_by_role("heading", level=1)).to_contain_text(f"{APP} {NEW}")


def test_a_wrong_password_opens_nothing_and_says_so(
    page: Page, watch: Watch, served: Served
) -> None:
    page.goto(f"{served.url}/sign-in")
    page.get_by_label("Name").fill("ana")
    page.get_by_label("Password").fill("not this one at all")
    with refused(page, watch, 403):
        page.get_by_role("button", name="Sign in").click()

    expect(page.get_by_role("alert")).to_be_visible()
    assert page.context.cookies() == []
    page.goto(served.url + release(served))
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


def test_the_cookie_is_for_pages_of_this_server_alone(page: Page, served: Served) -> None:
    sign_in(page, served.url, "ana")

    # The other one tells this browser from a stranger's at the next sign-in, and opens nothing.
    cookie, other = sorted(page.context.cookies(), key=lambda each: str(each["name"]))
    assert other["name"] == "serinus-browser"
    assert (other["httpOnly"], other["sameSite"]) == (True, "Lax")
    expires = cookie.pop("expires")
    secret = cookie.pop("value")
    now = page.evaluate("Date.now() / 1000")
    assert cookie == {
        "name": "serinus",
        "domain": "127.0.0.1",
        "path": "/",
        "httpOnly": True,
        "secure": False,  # plain HTTP on loopback; behind TLS it is __Host- and Secure
        "sameSite": "Lax",
    }
    assert 0 < expires - now <= 7 * 86_400
    assert len(secret) >= 256 // 8
    assert page.evaluate("document.cookie") == ""


# --- what one sees first -----------------------------------------------------------------


@on_a_phone
def test_what_happened_how_sure_and_what_to_press_need_no_scrolling(
    page: Page, served: Served
) -> None:
    be_signed_in(page.context, served, "ana")

    page.goto(served.url + release(served))

    expect(page.get_by_text("paused automatically")).to_be_in_viewport()
    expect(page.locator("#sentence")).to_be_in_viewport(ratio=1)
    expect(page.get_by_role("link", name=f"Pull to {OLD}")).to_be_in_viewport(ratio=1)


# --- pull --------------------------------------------------------------------------------


@on_any_phone
def test_from_the_alerts_link_to_pulled_takes_three_presses(page: Page, served: Served) -> None:
    be_signed_in(page.context, served, "ana")
    thumb = Thumb()

    page.goto(served.url + release(served))
    thumb.press(page.get_by_role("link", name=f"Pull to {OLD}"))
    page.get_by_label("Type the version").fill(NEW)
    thumb.press(page.get_by_role("button", name=f"Pull {NEW}"))

    expect(page).to_have_url(served.url + release(served))
    expect(page.get_by_role("main")).to_contain_text("pulled by ana")
    assert thumb.presses <= 3
    assert served.stage.now.state == "pulled"


@on_a_phone
def test_a_release_is_pulled_by_keyboard_alone(page: Page, served: Served) -> None:
    page.goto(served.url + release(served))
    hands.write(page, page.get_by_label("Name"), "ana")
    hands.write(page, page.get_by_label("Password"), PASSWORD)
    page.keyboard.press("Enter")
    expect(page).to_have_url(served.url + release(served))

    hands.press(page, page.get_by_role("link", name=f"Pull to {OLD}"))
    hands.write(page, page.get_by_label("Type the version"), NEW)
    hands.press(page, page.get_by_role("button", name=f"Pull {NEW}"))

    expect(page.get_by_role("main")).to_contain_text("pulled by ana")
    assert served.stage.now.state == "pulled"


def test_another_version_than_this_one_pulls_nothing(
    page: Page, watch: Watch, served: Served
) -> None:
    be_signed_in(page.context, served, "ana")
    page.goto(served.url + release(served) + "/pull")
    page.get_by_label("Why").fill("it crashes")
    page.get_by_label("Type the version").fill(OLD)
    with refused(page, watch, 400):
        page.get_by_role("button", name=f"Pull {NEW}").click()

    expect(page.get_by_role("alert")).to_contain_text(
        f"this is about {NEW}, not {OLD}", ignore_case=True
    )
    expect(page.get_by_label("Why")).to_have_value("it crashes")
    assert served.stage.now.state == "paused"


# --- pause and resume --------------------------------------------------------------------


@on_any_phone
def test_one_press_pauses_and_the_page_says_what_is_so(page: Page, rolling: Served) -> None:
    be_signed_in(page.context, rolling, "ana")
    page.goto(rolling.url + release(rolling))

    page.get_by_role("button", name="Pause", exact=True).click()

    main = page.get_by_role("main")
    expect(main).to_contain_text("paused by ana")
    expect(main).to_contain_text("Last possible offer")
    assert rolling.stage.now.state == "paused"


@on_any_phone
def test_the_brake_is_one_press_away_on_the_first_page(page: Page, rolling: Served) -> None:
    be_signed_in(page.context, rolling, "ana")
    page.goto(rolling.url)

    page.get_by_role("button", name="Pause").click()

    expect(page.get_by_role("main")).to_contain_text("paused by ana")
    assert rolling.stage.now.state == "paused"


def ask_to_resume(page: Page, served: Served, reason: str = "it was the driver") -> None:
    page.goto(served.url + release(served) + "/resume")
    page.get_by_label("Why").fill(reason)
    page.get_by_label("Your password again").fill(PASSWORD)
    page.get_by_role("button", name=f"Resume {NEW}").click()


def test_to_resume_what_the_judge_paused_takes_two_people(
    browser: Browser, page: Page, served: Served
) -> None:
    be_signed_in(page.context, served, "ana")
    ask_to_resume(page, served)

    main = page.get_by_role("main")
    expect(main).to_contain_text("ana asks to resume")
    expect(main).to_contain_text("1 of 2 people")
    expect(page.get_by_role("button", name="Resume")).to_be_disabled()
    page.goto(served.url)
    expect(page.get_by_role("main")).to_contain_text("ana asks to resume")
    assert served.stage.now.state == "paused"

    ask_to_resume(page, served)
    expect(page.get_by_role("main")).to_contain_text("1 of 2 people")
    assert served.stage.now.state == "paused"

    with a_window(browser) as (context, watch):
        be_signed_in(context, served, "ben")
        second = context.new_page()
        ask_to_resume(second, served)
        expect(second.get_by_role("main")).to_contain_text("rolling out")
        assert watch.faults == []
    assert served.stage.now.state == "active"
    assert {"ana", "ben"} <= {*audited(served, "resume"), *audited(served, "ask")}


def test_without_ones_own_password_nothing_is_resumed(
    page: Page, watch: Watch, served: Served
) -> None:
    be_signed_in(page.context, served, "ana")
    page.goto(served.url + release(served) + "/resume")
    page.get_by_label("Why").fill("it was the driver")
    page.get_by_label("Your password again").fill("not this one at all")
    with refused(page, watch, 403):
        page.get_by_role("button", name=f"Resume {NEW}").click()

    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_label("Your password again")).to_have_value("")
    expect(page.get_by_label("Why")).to_have_value("it was the driver")
    assert served.stage.now.state == "paused"


def test_who_may_only_look_sees_why_they_cannot_press(page: Page, served: Served) -> None:
    be_signed_in(page.context, served, "vera")

    page.goto(served.url + release(served))

    for name in ("Keep paused", f"Pull to {OLD}", "Resume"):
        button = page.get_by_role("button", name=name)
        expect(button).to_be_disabled()
        expect(button).to_have_accessible_description("needs the role operator")


# --- two at once -------------------------------------------------------------------------


def test_who_resumes_what_another_pulled_meanwhile_changes_nothing(
    browser: Browser, page: Page, watch: Watch, served: Served
) -> None:
    be_signed_in(page.context, served, "ana")
    page.goto(served.url + release(served) + "/resume")
    with a_window(browser) as (context, others):
        be_signed_in(context, served, "ben")
        other = context.new_page()
        other.goto(served.url + release(served) + "/pull")
        other.get_by_label("Type the version").fill(NEW)
        other.get_by_role("button", name=f"Pull {NEW}").click()
        expect(other.get_by_role("main")).to_contain_text("pulled by ben")
        assert others.faults == []
    revision = served.stage.now.revision

    page.get_by_label("Why").fill("it was the driver")
    page.get_by_label("Your password again").fill(PASSWORD)
    with refused(page, watch, 412):
        page.get_by_role("button", name=f"Resume {NEW}").click()

    expect(page.get_by_role("alert")).to_contain_text(f"ben pulled {NEW}")
    assert served.stage.now.state == "pulled"
    assert served.stage.now.revision == revision


def test_two_who_pause_at_once_pause_once(browser: Browser, page: Page, rolling: Served) -> None:
    be_signed_in(page.context, rolling, "ana")
    page.goto(rolling.url + release(rolling))
    with a_window(browser) as (context, watch):
        be_signed_in(context, rolling, "ben")
        other = context.new_page()
        other.goto(rolling.url + release(rolling))

        page.get_by_role("button", name="Pause", exact=True).click()
        expect(page.get_by_role("main")).to_contain_text("paused by ana")
        other.get_by_role("button", name="Pause", exact=True).click()
        expect(other.get_by_role("main")).to_contain_text("paused by ana")
        assert watch.faults == []

    assert rolling.stage.now.state == "paused"
