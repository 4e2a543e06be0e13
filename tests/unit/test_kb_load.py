"""The loader: overlays by id, located errors, a cache that nobody notices."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from nandoctor.errors import ExitCode, KnowledgeError
from nandoctor.kb import load
from nandoctor.kb.load import load_knowledge, shipped_folder

CAUSE = (shipped_folder() / "causes/lr-schedule-invalid.yaml").read_text(encoding="utf-8")
SHIPPED = load_knowledge(cache=False)


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> load.KnowledgeBase:
    """A base of two files in the place of the shipped one: what is tested of the cache does not depend on the size."""
    folder = tmp_path / "base"
    (folder / "causes").mkdir(parents=True)
    (folder / "texts").mkdir()
    (folder / "causes/lr-schedule-invalid.yaml").write_text(CAUSE, encoding="utf-8")
    (folder / "texts/words.yaml").write_text("messages: [{id: hello, en: Hello}]\n")
    monkeypatch.setattr(load, "shipped_folder", lambda: folder)
    return load_knowledge(cache=False)


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    folder = tmp_path / "overlay"
    for kind in ("causes", "texts", "dialects"):
        (folder / kind).mkdir(parents=True)
    return folder


@pytest.fixture
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("NANDOCTOR_NO_CACHE", raising=False)
    return tmp_path / "cache" / "nandoctor"


def test_an_overlay_adds_and_replaces_by_id(overlay: Path) -> None:
    (overlay / "causes/my-own.yaml").write_text(
        CAUSE.replace("id: lr-schedule-invalid", "id: my-own"), encoding="utf-8"
    )
    (overlay / "causes/healthy.yaml").write_text(
        CAUSE.replace("id: lr-schedule-invalid", "id: healthy"), encoding="utf-8"
    )
    base = load_knowledge([overlay], cache=False)
    assert set(base.causes) == {*SHIPPED.causes, "my-own"}
    assert base.causes["healthy"].shows == SHIPPED.causes["lr-schedule-invalid"].shows
    assert base.observations == SHIPPED.observations


def test_the_later_overlay_wins(overlay: Path, tmp_path: Path) -> None:
    second = tmp_path / "second"
    (second / "texts").mkdir(parents=True)
    (overlay / "texts/mine.yaml").write_text("messages: [{id: report.causes, en: One}]\n")
    (second / "texts/other-name.yaml").write_text("messages: [{id: report.causes, en: Two}]\n")
    assert load_knowledge([overlay, second], cache=False).text("report.causes", "en") == "Two"
    assert load_knowledge([second, overlay], cache=False).text("report.causes", "en") == "One"


def test_an_overlay_s_names_of_quantities_come_first(overlay: Path) -> None:
    (overlay / "dialects/quantities.yaml").write_text("quantities: [{role: loss, names: [objective]}]\n")
    base = load_knowledge([overlay], cache=False)
    assert base.quantities[0].names == ("objective",)
    assert base.quantities[1:] == SHIPPED.quantities


def test_a_folder_that_is_not_there() -> None:
    with pytest.raises(KnowledgeError, match="no such knowledge folder: nowhere") as caught:
        load_knowledge(["nowhere"], cache=False)
    assert caught.value.exit_code is ExitCode.USAGE


def test_every_broken_file_is_told_at_once(overlay: Path) -> None:
    (overlay / "causes/a.yaml").write_text("id: a\ntitle: {en: A\n")
    (overlay / "causes/b.yaml").write_text(CAUSE.replace("id: lr-schedule-invalid", "id: b").replace("prior:", "prio:"))
    (overlay / "causes/c.yaml").write_text(CAUSE.replace("id: lr-schedule-invalid", "id: other"))
    with pytest.raises(KnowledgeError, match="and 2 more; `nandoctor kb check` lists all") as caught:
        load_knowledge([overlay], cache=False)
    told = [str(problem).replace(f"{overlay}/", "") for problem in caught.value.problems]
    assert [line.split(" ")[0] for line in told] == [
        "causes/a.yaml:3:1:",
        f"causes/b.yaml:{_line('prior:')}:1:",
        "causes/c.yaml:1:5:",
    ]
    assert "did you mean `prior`?" in told[1]
    assert "the id `other` must be the file's name `c`" in told[2]


def _line(start: str) -> int:
    return next(number for number, line in enumerate(CAUSE.splitlines(), start=1) if line.startswith(start))


def test_files_that_are_no_knowledge_are_left_alone(overlay: Path) -> None:
    (overlay / "causes/README.md").write_text("# notes")
    (overlay / "causes/draft.yaml~").write_text("nonsense: [")
    (overlay / "schema").mkdir()
    (overlay / "schema/cause.json").write_text("{}")
    assert load_knowledge([overlay], cache=False).causes == SHIPPED.causes


# --- cache


def test_the_cache_gives_the_same_base(small: load.KnowledgeBase, caches: Path) -> None:
    first = load_knowledge()
    assert len(list(caches.glob("*.msgpack"))) == 1
    second = load_knowledge()
    assert first == second == small


def test_the_cache_is_really_used(small: load.KnowledgeBase, caches: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load_knowledge()
    monkeypatch.setattr(load, "read_files", lambda _: pytest.fail("the files were read again"))
    assert load_knowledge() == small


def test_a_changed_file_is_read_again(small: load.KnowledgeBase, caches: Path, overlay: Path) -> None:
    path = overlay / "causes/lr-schedule-invalid.yaml"
    path.write_text(CAUSE, encoding="utf-8")
    load_knowledge([overlay])
    before = path.stat()
    path.write_text(CAUSE.replace("prior:", "fault: false\nprior:", 1), encoding="utf-8")
    assert load_knowledge([overlay]).causes["lr-schedule-invalid"].fault is False
    path.write_text(CAUSE, encoding="utf-8")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert load_knowledge([overlay]).causes["lr-schedule-invalid"].fault is True


def test_a_new_and_a_removed_file_are_noticed(small: load.KnowledgeBase, caches: Path, overlay: Path) -> None:
    load_knowledge([overlay])
    path = overlay / "causes/my-own.yaml"
    path.write_text(CAUSE.replace("id: lr-schedule-invalid", "id: my-own"), encoding="utf-8")
    assert "my-own" in load_knowledge([overlay]).causes
    path.unlink()
    assert "my-own" not in load_knowledge([overlay]).causes


@pytest.mark.parametrize("rubbish", [b"", b"\x00", b"not msgpack at all", msgspec.msgpack.encode({"base": {}})])
def test_a_broken_cache_is_no_cache(small: load.KnowledgeBase, caches: Path, rubbish: bytes) -> None:
    load_knowledge()
    place = next(iter(caches.glob("*.msgpack")))
    whole = place.read_bytes()
    for content in (rubbish, whole[: len(whole) // 2]):
        place.write_bytes(content)
        assert load_knowledge() == small


def test_no_place_for_a_cache(
    small: load.KnowledgeBase, caches: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    assert load_knowledge() == small
    monkeypatch.setenv("NANDOCTOR_NO_CACHE", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(caches.parent))
    assert load_knowledge() == small
    assert not caches.exists()


def test_old_caches_go(small: load.KnowledgeBase, caches: Path, overlay: Path) -> None:
    for number in range(8):
        (overlay / "texts/mine.yaml").write_text(f"messages: [{{id: x, en: '{'y' * number}'}}]\n")
        load_knowledge([overlay])
    assert 1 <= len(list(caches.iterdir())) <= 5
