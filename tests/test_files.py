"""`write_atomically`: a reader finds the old file or the new one, and nothing else is left."""

import json
import os
import subprocess
import sys
import threading

import pytest

from trickster.files import write_atomically


def test_bytes_and_text_arrive_as_they_are(tmp_path):
    write_atomically(tmp_path / "a", b"\x00\xff\r\n")
    assert (tmp_path / "a").read_bytes() == b"\x00\xff\r\n"
    write_atomically(tmp_path / "a", "é\r\n\n")
    assert (tmp_path / "a").read_bytes() == "é\r\n\n".encode()


def test_missing_folders_are_made_and_nothing_else_is_left(tmp_path):
    write_atomically(str(tmp_path / "some" / "folder" / "file.txt"), "text")
    assert [p.name for p in (tmp_path / "some" / "folder").iterdir()] == ["file.txt"]


def test_a_name_as_long_as_the_file_system_allows(tmp_path):
    write_atomically(tmp_path / ("n" * 255), "text")
    assert (tmp_path / ("n" * 255)).read_text() == "text"


def test_a_new_file_gets_the_permissions_of_open(tmp_path):
    old = os.umask(0o027)
    try:
        write_atomically(tmp_path / "new", "text")
    finally:
        os.umask(old)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o640


def test_an_old_file_keeps_its_permissions(tmp_path):
    (tmp_path / "old").write_text("before")
    (tmp_path / "old").chmod(0o604)
    write_atomically(tmp_path / "old", "after")
    assert (tmp_path / "old").read_text() == "after"
    assert (tmp_path / "old").stat().st_mode & 0o777 == 0o604


def test_a_lone_surrogate_in_json_reads_back_as_itself(tmp_path):
    name = "stud\udcffent"
    write_atomically(tmp_path / "a.json", json.dumps({"name": name}, ensure_ascii=False))
    assert json.loads((tmp_path / "a.json").read_text("utf-8")) == {"name": name}


def test_a_failed_write_leaves_the_old_file_alone(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError("No space left on device")

    (tmp_path / "a").write_text("before")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(tmp_path / "a", "after")
    assert (tmp_path / "a").read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_reader_never_sees_half_a_file(tmp_path):
    path, size = tmp_path / "a", 200_000
    write_atomically(path, b"0" * size)

    def write():
        for digit in b"123456789":
            write_atomically(path, bytes([digit]) * size)

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive():
        content = path.read_bytes()
        assert len(content) == size
        assert len(set(content)) == 1
    writer.join()


def test_a_process_killed_while_it_writes_leaves_the_old_file(tmp_path):
    path = tmp_path / "a"
    path.write_text("before")
    code = (
        "import os, signal, sys; from trickster.files import write_atomically\n"
        "os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_atomically(sys.argv[1], 'after')"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)])
    assert done.returncode == -9
    assert path.read_text() == "before"
