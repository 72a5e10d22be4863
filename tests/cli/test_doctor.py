"""What the doctor finds, and what it says to do."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from signing.keys import new_plain_key
from tests.cli.cli_world import Cli, a_signer
from update_server.cli.doctor import clock_finding, role_findings


def findings(cli: Cli, code: int) -> dict[str, dict[str, object]]:
    document = cli.json("doctor", code=code)
    assert document["ok"] is (code == 0)
    return {item["what"]: item for item in document["findings"]}


def healthy(cli: Cli) -> None:
    (cli.folder / "keys" / "root-backup.key").unlink()


def test_a_healthy_server_has_nothing_to_do(cli: Cli) -> None:
    healthy(cli)
    with a_signer(cli):
        found = findings(cli, 0)
        told = cli.run("doctor")

    assert {"key root.key", "data folder", "signer", "server", "clocks", "role root"} <= set(found)
    assert told.err == ""
    assert "fix" not in told.out


def test_each_fault_is_found_with_what_to_do(cli: Cli) -> None:
    keys = cli.folder / "keys"
    (keys / "root.key").chmod(0o644)
    (keys / "publisher.key").write_text("{}")
    online = next((cli.folder / "server" / "signer").rglob("*.pem"))
    online.chmod(0o644)

    found = findings(cli, 1)
    told = cli.run("doctor", code=1)

    assert found["key root.key"]["do"] == f"chmod 600 {keys / 'root.key'}"
    assert found["key publisher.key"]["do"] == "restore it from its backup"
    assert "print it (serinus key export --paper " in str(found["key root-backup.key"]["do"])
    assert found[f"online key {online.name}"]["do"] == f"chmod 600 {online}"
    assert "serinus serve" in str(found["signer"]["do"])
    assert f"serinus: key root.key: chmod 600 {keys / 'root.key'}\n" in told.err


def test_a_plain_key_is_found(cli: Cli) -> None:
    new_plain_key(cli.folder / "keys" / "z.key")

    assert "replace it" in str(findings(cli, 1)["key z.key"]["do"])


def test_a_server_that_is_away_is_found(workspace: Cli) -> None:
    healthy(workspace)
    workspace.set("127.0.0.1:8081", "127.0.0.1:9")

    assert "does not answer" in str(findings(workspace, 1)["server"]["detail"])


def test_settings_that_are_wrong_are_found(cli: Cli) -> None:
    cli.set("lease_seconds = 1", "lease_seconds = 0")

    assert "lease_seconds" in str(findings(cli, 1)["settings"]["detail"])


def test_a_publishers_machine_has_no_data_to_look_at(cli: Cli) -> None:
    healthy(cli)
    (cli.folder / "server").rename(cli.folder / "elsewhere")
    try:
        found = findings(cli, 1)
    finally:
        (cli.folder / "elsewhere").rename(cli.folder / "server")

    assert "data folder" not in found


def test_without_a_workspace_only_the_server_is_looked_at(cli: Cli, outsider: Cli) -> None:
    server = cli.config_file.read_text().partition('server = "')[2].partition('"')[0]
    token = str(cli.folder / "admin.token")

    document = outsider.json("doctor", "--server", server, "--token-file", token, "--app", "notes")

    assert {item["what"].split()[0] for item in document["findings"]} == {
        "server",
        "clocks",
        "role",
    }


def test_clocks_may_differ_by_minutes() -> None:
    date, now = "Wed, 25 Nov 2026 12:00:00 GMT", datetime(2026, 11, 25, 12, 0, tzinfo=UTC)

    assert clock_finding(date, now + timedelta(minutes=4)).do == ""
    late = clock_finding(date, now - timedelta(minutes=6))
    assert (late.detail, late.do) == ("360 s apart", "set both machines' clocks (NTP)")


def test_roles_are_told_before_they_expire(workspace: Cli) -> None:
    tuf = workspace.folder / "server" / "files" / "apps" / "notes" / "tuf"
    metadata = {
        "root": (tuf / "1.root.json").read_bytes(),
        "timestamp": (tuf / "timestamp.json").read_bytes(),
        "a stranger's": b"",
    }
    signed = {name: json.loads(data)["signed"] for name, data in metadata.items() if data}
    ends = {name: datetime.fromisoformat(role["expires"]) for name, role in signed.items()}

    def do(now: datetime) -> dict[str, str]:
        return {finding.what: finding.do for finding in role_findings(metadata, now)}

    assert do(ends["timestamp"] - timedelta(hours=7)) == {"role root": "", "role timestamp": ""}
    late = do(ends["timestamp"] - timedelta(hours=5))
    assert late == {"role root": "", "role timestamp": "look at signer and controller"}
    assert do(ends["root"] - timedelta(days=89))["role root"] == "sign it again"
    (after, _) = role_findings(metadata, ends["root"] + timedelta(days=1, hours=1))
    assert after.detail == "expired 1 d 1 h ago"
