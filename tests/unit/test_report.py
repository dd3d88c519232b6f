"""The measured part of docs/reliability.md."""

from __future__ import annotations

import json

import pytest

from tests.report import BEGIN, DOCUMENT, END, record, written


def test_figures_are_kept_and_the_larger_run_stays(tmp_path, monkeypatch):
    path = tmp_path / "figures.json"
    monkeypatch.setenv("RELIABILITY_REPORT", str(path))
    record("crash", kills=200, losses=0)
    record("crash", kills=20, losses=0)
    record("fuzz", inputs=5)
    record("fuzz", inputs=7)
    kept = json.loads(path.read_text())
    assert kept["crash"]["kills"] == 200
    assert kept["fuzz"]["inputs"] == 7


def test_nothing_is_kept_where_nobody_asks(tmp_path, monkeypatch):
    monkeypatch.delenv("RELIABILITY_REPORT", raising=False)
    monkeypatch.chdir(tmp_path)
    record("crash", kills=1)
    assert list(tmp_path.iterdir()) == []


def test_the_document_gets_a_table_between_its_markers_and_keeps_the_rest():
    text = DOCUMENT.read_text()
    once = written(text, {"crash": {"kills": 20_000, "seconds": 1.5, "measured": "2030-01-02"}})
    assert "| crash | kills 20,000 · seconds 1.5 | 2030-01-02 |" in once
    assert written(once, {}).partition(BEGIN)[0] == text.partition(BEGIN)[0]
    assert once.partition(END)[2] == text.partition(END)[2]
    with pytest.raises(ValueError, match="no"):
        written("nothing", {})
