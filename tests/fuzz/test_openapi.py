"""The server keeps its OpenAPI document: schemathesis with every check on, against a real process."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clips import write_clip
from tests.fuzz import openapi
from tests.report import record
from tests.server import running_server

REACHED = {
    "DELETE /api/v1/video/labels/{label}",
    "DELETE /api/v1/video/session/{session_id}",
    "DELETE /api/v1/video/session/{session_id}/object/{obj_id}",
    "GET /api/v1/config",
    "GET /api/v1/video/labels",
    "GET /api/v1/video/session/{session_id}/export/{format_name}",
    "GET /api/v1/video/session/{session_id}/frame/{frame_index}",
    "GET /api/v1/video/session/{session_id}/log",
    "GET /api/v1/video/session/{session_id}/problems",
    "GET /api/v1/video/session/{session_id}/results",
    "GET /api/v1/video/session/{session_id}/status",
    "GET /api/v1/video/session/{session_id}/timestamps",
    "GET /api/v1/video/sessions",
    "GET /health",
    "GET /models/info",
    "GET /ready",
    "PATCH /api/v1/video/session/{session_id}/object/{obj_id}",
    "POST /api/v1/image/batch",
    "POST /api/v1/image/cached-features",
    "POST /api/v1/image/segment",
    "POST /api/v1/video/session/start",
    "POST /api/v1/video/session/{session_id}/cancel",
    "POST /api/v1/video/session/{session_id}/object/{obj_id}/approve",
    "POST /api/v1/video/session/{session_id}/object/{obj_id}/merge",
    "POST /api/v1/video/session/{session_id}/object/{obj_id}/split",
    "POST /api/v1/video/session/{session_id}/prompt",
    "POST /api/v1/video/session/{session_id}/propagate",
    "POST /api/v1/video/session/{session_id}/redo",
    "POST /api/v1/video/session/{session_id}/reset",
    "POST /api/v1/video/session/{session_id}/undo",
    "POST /api/v1/video/upload",
    "PUT /api/v1/video/labels",
}
"""Every route but one: each has to be got past its refusals."""
REFUSED = {"POST /api/v1/video/session/import"}
"""A session's file has checksums, which nothing drawn will meet."""
SHARE = 0.03
"""Of each route's requests at least so many are done, not refused."""
CHECKS = {
    "allow_header_conformance",
    "content_type_conformance",
    "ensure_resource_availability",
    "ignored_auth",
    "missing_required_header",
    "negative_data_rejection",
    "not_a_server_error",
    "object_level_authorization",
    "positive_data_acceptance",
    "response_headers_conformance",
    "response_schema_conformance",
    "status_code_conformance",
    "unsupported_method",
    "use_after_free",
}


def judge(report: openapi.Report, wanted: int) -> None:
    print(report.table())
    assert not report.failures, "\n\n".join(report.failures[:10])
    assert report.total >= wanted
    assert set(report.checks) == CHECKS
    errors = {key: count for key, count in report.requests.items() if key[1] >= 500 and key[1] != 501}
    assert not errors
    record("schemathesis", requests=report.total, server_errors=sum(errors.values()), checks=len(report.checks))
    routes = report.by_route()
    documented = {route for route in routes if set(routes[route]) != {405}}
    assert documented == REACHED | REFUSED
    shares = {r: sum(n for s, n in routes[r].items() if s < 300) / sum(routes[r].values()) for r in REACHED}
    assert min(shares.values()) >= SHARE, shares


@pytest.mark.slow
def test_two_thousand_requests_get_documented_replies(server: str, roots: Path):
    judge(openapi.run(server, roots / "square.mp4", examples=42), 2_000)


@pytest.mark.long
def test_twenty_thousand_requests_get_documented_replies(server: str, roots: Path):
    judge(openapi.run(server, roots / "square.mp4", examples=1_000), 20_000)


@pytest.mark.slow
def test_with_keys_nothing_is_served_without_one(tmp_path: Path):
    """Schemathesis leaves the key out, or sends a wrong one, of each request that succeeds."""
    (tmp_path / "roots").mkdir()
    clip = write_clip(tmp_path / "roots" / "square.mp4")
    keys = {"REQUIRE_API_KEY": "true", "API_KEYS": "a-key-of-the-test", "FAILED_LOGINS_PER_MINUTE": "100000"}
    with running_server(tmp_path / "data", VIDEO_ROOTS=str(clip.parent), **keys) as address:
        report = openapi.run(address, clip, examples=4, headers={"X-API-Key": "a-key-of-the-test"})
    print(report.table())
    assert not report.failures, "\n\n".join(report.failures[:10])
    assert report.checks["ignored_auth"] > 100
    assert sum(count for (_, status), count in report.requests.items() if status < 300) > 50
