"""The machine's time zone."""

import pytest

from headwater.sessions import zone


@pytest.fixture(autouse=True)
def forget():
    zone.machine_time_zone.cache_clear()
    yield
    zone.machine_time_zone.cache_clear()


def test_the_environment_wins(monkeypatch):
    monkeypatch.setenv("TZ", ":Asia/Kolkata")
    assert zone.machine_time_zone() == "Asia/Kolkata"


def test_a_name_nobody_knows_is_passed_over(monkeypatch):
    monkeypatch.setenv("TZ", "Mars/Olympus")
    monkeypatch.setattr(zone, "_LINK", "/nowhere")
    monkeypatch.setattr(zone, "_TEXT", "/nowhere")
    assert zone.machine_time_zone() == "UTC"


def test_the_link_names_the_zone(monkeypatch, tmp_path):
    monkeypatch.delenv("TZ", raising=False)
    target = tmp_path / "zoneinfo" / "Europe" / "Paris"
    target.parent.mkdir(parents=True)
    target.touch()
    (tmp_path / "localtime").symlink_to(target)
    monkeypatch.setattr(zone, "_LINK", str(tmp_path / "localtime"))
    assert zone.machine_time_zone() == "Europe/Paris"
