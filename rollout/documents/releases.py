"""The release document: what may run, for one platform. Signed offline, never changed."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Any

from rollout.documents.fields import Fields, any_text, check_schema, render_time
from rollout.documents.paths import release_folder
from rollout.errors import BadNameError
from rollout.model import Artifact, Delta, Release, SideFile
from rollout.names import check_app, check_channel, check_file_names, check_platform
from rollout.strict_json import parse_strict, render_canonical
from rollout.versions import parse_canonical_version, parse_os_version, render_version

MAX_DELTAS = 200
MAX_ROLLBACK_TO = 64
MAX_OTHERS = 64
MAX_NATIVE = 16
MAX_IDENTITIES = 16
PAYLOAD_FORMAT = "serinus-1"
DELTA_ALGORITHM = "pb1"
DOCUMENT_FILE = "release.json"

_HEX_SALT = re.compile(r"[0-9a-f]{64}")
_WORD = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")


def parse_release(data: bytes) -> Release:
    """Return the release in *data*.

    Raises:
        DocumentError: It is not one, or a file of it lies outside its folder.
    """
    fields = Fields(parse_strict(data))
    check_schema(fields)
    signature = fields.object("platform_sig")
    release = Release(
        app=fields.checked("app", check_app),
        channel=fields.checked("channel", check_channel),
        platform=fields.checked("platform", check_platform),
        version=fields.version("version"),
        salt=bytes.fromhex(fields.text("salt", pattern=_HEX_SALT)),
        released_at=fields.time("released_at"),
        not_before=fields.optional("not_before", fields.time),
        min_version=fields.optional("min_version", fields.version),
        min_os=fields.optional("min_os", lambda name: fields.checked(name, _os_version)),
        rollback_to=fields.texts("rollback_to", parse_canonical_version, at_most=MAX_ROLLBACK_TO),
        security=fields.boolean("security"),
        artifact=_artifact(fields.object("artifact")),
        others=fields.objects("others", _side_file, at_most=MAX_OTHERS),
        deltas=fields.objects("deltas", _delta, at_most=MAX_DELTAS),
        data_schema=fields.optional("data_schema", fields.integer),
        reads_schema_max=fields.optional("reads_schema_max", fields.integer),
        authenticode_spki=signature.texts("authenticode_spki", any_text, at_most=MAX_IDENTITIES),
        apple_team_id=signature.texts("apple_team_id", any_text, at_most=MAX_IDENTITIES),
    )
    _check_paths(fields, release)
    return release


def render_release(release: Release) -> bytes:
    """Return the canonical bytes of *release*. What it does not say is left out."""
    optional = {
        "not_before": None if release.not_before is None else render_time(release.not_before),
        "min_version": None if release.min_version is None else render_version(release.min_version),
        "min_os": release.min_os,
        "data_schema": release.data_schema,
        "reads_schema_max": release.reads_schema_max,
    }
    return render_canonical(
        {
            "schema": 1,
            "app": release.app,
            "channel": release.channel,
            "platform": release.platform,
            "version": render_version(release.version),
            "salt": release.salt.hex(),
            "released_at": render_time(release.released_at),
            "rollback_to": [render_version(version) for version in release.rollback_to],
            "security": release.security,
            "artifact": {
                "path": release.artifact.path,
                "format": release.artifact.format,
                "manifest_sha256": release.artifact.manifest_sha256,
                "tree_bytes": release.artifact.tree_bytes,
                "files": release.artifact.files,
            },
            "others": [
                {"path": other.path, "kind": other.kind, "native": dict(other.native)}
                for other in release.others
            ],
            "deltas": [_render_delta(delta) for delta in release.deltas],
            "platform_sig": {
                "authenticode_spki": list(release.authenticode_spki),
                "apple_team_id": list(release.apple_team_id),
            },
            "provenance": None,
        }
        | {name: value for name, value in optional.items() if value is not None}
    )


def _check_paths(fields: Fields, release: Release) -> None:
    """Refuse files outside the release's folder, or that some file system takes for one."""
    folder = release_folder(release.app, release.channel, release.platform, release.version)
    paths = (release.artifact.path, *(f.path for f in release.others + release.deltas))
    names = [path.removeprefix(f"{folder}/") for path in paths]
    for path, name in zip(paths, names, strict=True):
        if path == name:
            raise fields.refuse("artifact", f"{path[:200]!r} is outside the release's folder")
    try:
        check_file_names((DOCUMENT_FILE, *names))
    except BadNameError as error:
        raise fields.refuse("artifact", str(error)) from error


def _artifact(fields: Fields) -> Artifact:
    if fields.text("format") != PAYLOAD_FORMAT:
        raise fields.refuse("format", f"only {PAYLOAD_FORMAT} is known")
    return Artifact(
        path=fields.text("path"),
        format=PAYLOAD_FORMAT,
        manifest_sha256=fields.digest("manifest_sha256"),
        tree_bytes=fields.integer("tree_bytes"),
        files=fields.integer("files"),
    )


def _side_file(fields: Fields) -> SideFile:
    native = fields.object("native")
    if len(native.names()) > MAX_NATIVE:
        raise fields.refuse("native", f"over {MAX_NATIVE} items")
    return SideFile(
        path=fields.text("path"),
        kind=fields.text("kind", pattern=_WORD),
        native=MappingProxyType({name: native.text(name) for name in native.names()}),
    )


def _delta(fields: Fields) -> Delta:
    if fields.text("algo") != DELTA_ALGORITHM:
        raise fields.refuse("algo", f"only {DELTA_ALGORITHM} is known")
    return Delta(
        path=fields.text("path"),
        from_version=fields.version("from"),
        from_manifest=fields.digest("from_manifest"),
        algo=DELTA_ALGORITHM,
        output_bytes=fields.integer("output_bytes"),
        max_file_bytes=fields.integer("max_file_bytes"),
    )


def _render_delta(delta: Delta) -> dict[str, Any]:
    return {
        "path": delta.path,
        "from": render_version(delta.from_version),
        "from_manifest": delta.from_manifest,
        "algo": delta.algo,
        "output_bytes": delta.output_bytes,
        "max_file_bytes": delta.max_file_bytes,
    }


def _os_version(text: str) -> str:
    parse_os_version(text)
    return text
