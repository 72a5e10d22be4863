"""Groups, enrolments, holds and tokens from the command line."""

from __future__ import annotations

from tests.cli.cli_world import Cli, rows


def test_a_group_is_made_listed_and_removed(cli: Cli) -> None:
    assert cli.run("group", "add", "staff").out == "group staff is there\n"
    assert cli.json("group", "add", "crew")["name"] == "crew"
    assert cli.run("hold", "list").err == "serinus: none yet\n"
    assert cli.run("hold", "list", "--json").err == ""
    assert [item["name"] for item in cli.json("group", "list")["items"]] == ["crew", "staff"]
    assert [row[:2] for row in rows(cli.run("group", "list"))] == [["crew", "0"], ["staff", "0"]]

    assert cli.run("group", "remove", "crew", code=2).err.startswith("serinus: remove the group")
    assert cli.json("group", "remove", "crew", "--yes") == {"removed": "crew"}
    gone = cli.run("group", "remove", "crew", "--yes", code=1)
    assert gone.err == "serinus: there is no group 'crew'\nserinus: try serinus group list\n"


def test_a_code_is_shown_once_and_can_be_revoked(cli: Cli) -> None:
    cli.json("group", "add", "staff")

    told = cli.run("enrolment", "new", "staff", "--uses", "3", "--days", "2")
    made = cli.json("enrolment", "new", "staff")

    assert told.err == "serinus: the code is shown only once\n"
    assert made["code"] not in cli.run("enrolment", "list", "--json").out
    listed = {item["id"]: item for item in cli.json("enrolment", "list")["items"]}
    assert sorted(item["uses_left"] for item in listed.values()) == [1, 3]
    assert cli.json("enrolment", "revoke", made["id"]) == {"revoked": made["id"]}
    assert len(rows(cli.run("enrolment", "list"))) == 2
    assert cli.refused("enrolment", "new", "nobody") == "bad_value"


def test_a_hold_is_put_on_and_lifted(cli: Cli) -> None:
    add = (
        "hold", "add", "--title", "Crashes", "--link", "https://status.example.org/h1",
        "--audience", '{"os_version": ["<13"]}', "--reason", "tickets",
    )  # fmt: skip

    told = cli.run(*add)
    listed = cli.json("hold", "list")["items"]

    assert told.out == f"hold {listed[0]['id']} is in force\n"
    assert [row[1:3] for row in rows(cli.run("hold", "list"))] == [["stable", "Crashes"]]
    assert cli.run("hold", "lift", listed[0]["id"], typed="no\n", code=1).err.endswith("was done\n")
    assert cli.json("hold", "lift", listed[0]["id"], "--yes") == {"lifted": listed[0]["id"]}
    assert cli.json("hold", "list")["items"] == []


def test_a_hold_that_is_none_is_refused(cli: Cli) -> None:
    add = ("hold", "add", "--title", "x", "--audience")

    link = "https://status.example.org/h1"
    assert cli.refused(*add, "{", "--link", link, code=2) == "bad_audience"
    assert cli.refused(*add, '{"os_version": ["<13"]}', "--link", "https://evil.example/") in {
        "bad_value",
        "bad_field",
    }


def test_a_token_is_shown_once_works_and_can_be_revoked(cli: Cli) -> None:
    told = cli.run("token", "new", "viewer", "--role", "viewer")
    made = cli.json("token", "new", "build", "--role", "publisher", "--days", "30", "--all-apps")

    assert told.err.startswith("serinus: the token is shown only once")
    assert (made["role"], made["app"]) == ("publisher", None)
    variables = {"SERINUS_TOKEN": told.out.strip()}
    assert cli.run("app", "list", variables=variables).code == 0
    refused = cli.run("group", "add", "staff", "--json", code=1, variables=variables)
    assert refused.error == "forbidden"
    names = {item["name"] for item in cli.json("token", "list")["items"]}
    assert names == {"first administrator", "viewer", "build"}
    assert len(rows(cli.run("token", "list"))) == 3
    assert cli.json("token", "revoke", made["id"], "--yes") == {"revoked": made["id"]}


def test_a_role_that_is_none_is_a_matter_of_usage(cli: Cli) -> None:
    assert cli.refused("token", "new", "x", "--role", "king", code=2) == "usage"
