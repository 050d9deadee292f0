"""The studio's API over HTTP: what a page or a script asks it, and what it gets."""

from __future__ import annotations

import base64
import io
import json
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from xml.etree import ElementTree as ET

import pytest

import musicgen
from musicgen.cli import main
from musicgen.composer import FIRST, Composer
from musicgen.composer.controls import Controls
from musicgen.composer.sampling import SamplingConfig
from musicgen.formats import rendered
from musicgen.formats.abc_notation import parse_text, to_abc
from musicgen.music.performance import perform
from musicgen.studio import Settings, StudioServer, jobs
from musicgen.studio.server import listen
from tests import hostile
from tests.studio_client import JIG, Client, require_described, running, wait_until

ASKED = {"key": "D", "rhythm": "jig", "bars": 16}


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with running(Settings(port=0, workers=1, warm=False)) as server:
        yield Client(server.port)


@pytest.fixture(scope="module")
def jig(client: Client) -> dict[str, Any]:
    """The view of a tune."""
    view: dict[str, Any] = client.post("/api/tune", abc=JIG).json
    return view


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


# --- composing ------------------------------------------------------------------------------------


def test_takes_are_those_of_the_python_api(client: Client) -> None:
    answer = client.post("/api/takes", kind="generate", seed=7, number=2, controls=ASKED)
    composer = musicgen.load()
    assert isinstance(composer, Composer)
    takes = composer.takes(2, Controls(**ASKED), SamplingConfig(seed=7), FIRST)
    tunes = answer.tunes
    for tune, take in zip(tunes, takes, strict=True):
        assert tune["abc"] == to_abc(take.tune)
        assert tune["likelihood_bits"] == pytest.approx(take.bits_per_note, abs=1e-3)
        assert take.novelty is not None
        assert tune["novelty"]["line"] == take.novelty.line()
    assert answer.lines[-1] == {"event": "end"}


def test_notes_come_before_the_take_is_there_and_are_its_beginning(client: Client) -> None:
    answer = client.post("/api/takes", kind="generate", seed=3, controls={"bars": 32})
    events = [line["event"] for line in answer.lines]
    assert events[0] == "notes"
    assert events[-2:] == ["take", "end"]
    first = parse_text(answer.lines[0]["abc"]).tunes[0]
    whole = parse_text(answer.tunes[0]["abc"]).tunes[0]
    assert first.bars[0].events == whole.bars[0].events


def test_the_same_request_gives_the_same_takes(client: Client) -> None:
    request: dict[str, Any] = {"kind": "generate", "seed": 5, "controls": {"bars": 8}}
    request["sampling"] = {"temperature": 1.2, "top_k": 20}
    first, again = (client.post("/api/takes", **request).tunes for _ in range(2))
    assert first == again
    assert client.post("/api/takes", **(request | {"seed": 6})).tunes != first


def test_the_best_of_several_can_be_asked_for(client: Client) -> None:
    request = {"kind": "generate", "seed": 1, "controls": {"bars": 8}}
    one = client.post("/api/takes", **request).tunes[0]
    best = client.post("/api/takes", **request, selection={"best_of": 4}).tunes[0]
    assert best["likelihood_bits"] <= one["likelihood_bits"]


def test_bars_of_a_tune_can_open_a_new_one(client: Client) -> None:
    controls = {"motif": JIG, "motif_bars": "3-4"}
    tune = client.post("/api/takes", kind="generate", controls=controls).tunes[0]
    assert "edd gdd | edB dBA" in tune["abc"]


def test_what_was_given_is_told_from_what_is_new(client: Client) -> None:
    half = JIG[: JIG.index("|G3 GAB|A3", 60)] + "|"
    tune = client.post("/api/takes", kind="continue", abc=half, bars=8).tunes[0]
    given = parse_text(half).tunes[0]
    assert tune["abc"].startswith(half.rstrip("|\n"))
    assert tune["given"] == [
        [b, e] for b, bar in enumerate(given.bars) for e, _ in enumerate(bar.timed)
    ]
    flags = [note["given"] for note in tune["notes"] if note["place"][0] < 5]
    assert all(flags)
    assert not any(note["given"] for note in tune["notes"] if note["place"][0] > 5)


def test_bars_are_rewritten_and_the_others_stay(client: Client) -> None:
    tune = client.post("/api/takes", kind="infill", abc=JIG, bars="3-4", seed=2).tunes[0]
    old, new = (parse_text(abc).tunes[0].bars for abc in (JIG, tune["abc"]))
    changed = [i for i, (a, b) in enumerate(zip(old, new, strict=True)) if a.events != b.events]
    assert changed
    assert set(changed) <= {3, 4}
    assert all(note["given"] == (note["place"][0] not in changed) for note in tune["notes"])


def test_a_tune_is_varied(client: Client) -> None:
    tune = client.post("/api/takes", kind="vary", abc=JIG, similarity="0.7-0.9").tunes[0]
    assert tune["abc"] != JIG
    assert tune["key"] == "G major"


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"kind": "infill", "abc": JIG}, "bars"),
        ({"kind": "infill", "abc": JIG, "bars": "99"}, "bars"),
        ({"kind": "infill", "abc": JIG, "bars": "x"}, "bars"),
        ({"kind": "continue", "bars": 8}, "abc"),
        ({"kind": "continue", "abc": JIG, "bars": "many"}, "bars"),
        ({"kind": "continue", "abc": JIG, "bars": "0"}, "bars"),
        ({"kind": "continue", "abc": "hello"}, "abc"),
        ({"kind": "continue", "abc": JIG + "\n" + JIG}, "abc"),
        ({"kind": "vary", "abc": JIG, "similarity": "2-3"}, "similarity"),
        ({"kind": "vary", "abc": JIG, "bars": "3"}, "bars"),
        ({"kind": "generate", "abc": JIG}, "abc"),
        ({"kind": "generate", "similarity": "0.5"}, "similarity"),
        ({"kind": "generate", "controls": {"motif": "hello"}}, "controls.motif"),
        ({"kind": "generate", "controls": {"rhythm": "tango"}}, "controls.rhythm"),
        ({"kind": "generate", "controls": {"key": "D", "form": "ABC", "bars": 1}}, "controls.bars"),
        (
            {"kind": "generate", "controls": {"motif": JIG, "motif_bars": "9"}},
            "controls.motif_bars",
        ),
        ({"kind": "generate", "controls": {"like": "a purple tune"}}, "controls.like"),
    ],
)
def test_a_request_that_cannot_be_met_names_its_field(
    client: Client, request_: dict[str, Any], field: str
) -> None:
    answer = client.post("/api/takes", **request_)
    assert answer.status == 400
    assert answer.field == field


def test_controls_that_contradict_each_other_are_refused_before_anything_is_sampled(
    client: Client,
) -> None:
    controls = {"rhythm": "jig", "key": "D", "meter": "4/4"}
    answer = client.post("/api/takes", kind="generate", controls=controls)
    assert (answer.status, answer.field) == (400, "controls.rhythm")
    assert "a jig in 4/4 contradicts itself" in answer.json["error"]["message"]


# --- tunes ----------------------------------------------------------------------------------------


def test_a_view_has_every_note_in_the_time_of_the_recording(jig: dict[str, Any]) -> None:
    tune = parse_text(JIG).tunes[0]
    sounding = perform(tune)
    assert jig["seconds"] == pytest.approx(sounding.duration_s, abs=1e-3)
    onsets = [note["onset"] for note in jig["notes"]]
    assert onsets == pytest.approx([note.onset_s for note in sounding.notes], abs=1e-3)
    assert [note["pitch"] for note in jig["notes"]] == [note.midi for note in sounding.notes]


def test_every_note_of_the_score_says_which_it_is(jig: dict[str, Any]) -> None:
    drawn = set(re.findall(r'data-event="0\.(\d+)\.(\d+)"', jig["svg"]))
    written = {(str(b), str(e)) for b, e in (note["place"] for note in jig["notes"])}
    assert written <= drawn
    assert "style=" not in re.sub(r"font-style=", "", jig["svg"])


def test_titles_are_text_wherever_they_are_shown(client: Client) -> None:
    title = "<script>alert(1)</script>\"'&"
    view = client.post("/api/change", abc=JIG, change="title", title=title).json
    assert view["title"] == title
    assert "<script>" not in view["svg"]
    drawn = "".join(ET.fromstring(view["svg"]).itertext())
    assert "<script>alert(1)</script>" in drawn
    abc = view["abc"]
    name = client.post("/api/export", abc=abc, format="svg").headers["content-disposition"]
    assert name == 'attachment; filename="script-alert-1-script.svg"'
    assert b"<script>" not in client.post("/api/export", abc=abc, format="svg").body


@pytest.mark.parametrize("abc", ["hello", "X:1\nT:No key\nABC|\n", "X:1\nK:D\n", "%"])
def test_text_that_is_no_music_has_problems_with_lines(client: Client, abc: str) -> None:
    answer = client.post("/api/tune", abc=abc)
    assert answer.status == 200
    assert answer.json["problems"]


def test_what_does_not_add_up_is_said_at_its_line(client: Client) -> None:
    view = client.post("/api/tune", abc=JIG.replace("A3 ABd|edd gdd", "A3 AB|edd gdd", 1)).json
    problems = [p for p in view["problems"] if "short" in p["message"]]
    assert [problem["line"] for problem in problems] == [7]
    assert problems[0]["column"] > 1


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"change": "transpose", "semitones": 2}, "K:A"),
        ({"change": "transpose", "key": "D"}, "K:D"),
        ({"change": "rhythm", "rhythm": "reel"}, "M:C|"),
        ({"change": "cut", "place": [2, 1]}, "A3 |"[:2]),
        ({"change": "tempo", "tempo": "90"}, "Q:3/8=90"),
        ({"change": "voice", "voice": 1}, "K:G"),
        ({"change": "chords"}, '"G"'),
    ],
)
def test_a_tune_is_changed(client: Client, change: dict[str, Any], expected: str) -> None:
    view = client.post("/api/change", abc=JIG, **change).json
    assert expected in view["abc"]
    assert view["svg"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"change": "transpose"}, "semitones"),
        ({"change": "transpose", "semitones": 1, "key": "D"}, "semitones"),
        ({"change": "transpose", "key": "H"}, "key"),
        ({"change": "transpose", "key": "-1"}, "key"),
        ({"change": "voice", "voice": 2}, "voice"),
        ({"change": "rhythm", "rhythm": "waltz"}, "rhythm"),
        ({"change": "cut", "place": [99, 0]}, "place"),
        ({"change": "cut", "title": "x"}, "title"),
        ({"change": "tempo", "tempo": "0"}, "tempo"),
        ({"change": "burn"}, "change"),
    ],
)
def test_an_impossible_change_names_its_field(
    client: Client, change: dict[str, Any], field: str
) -> None:
    answer = client.post("/api/change", abc=JIG, **change)
    assert (answer.status, answer.field) == (400, field)


# --- files ----------------------------------------------------------------------------------------

BEGINNINGS = {
    "abc": b"X:1",
    "mid": b"MThd",
    "musicxml": b"<?xml",
    "svg": b"<svg",
    "png": b"\x89PNG",
    "pdf": b"%PDF",
    "wav": b"RIFF",
    "ogg": b"OggS",
    "mp3": (b"ID3", b"\xff\xfb"),
    "flac": b"fLaC",
    "zip": b"PK",
}
SHORT = "X:1\nT:Short\nM:2/4\nL:1/8\nK:D\nDE F2|]\n"


@pytest.mark.parametrize("kind", BEGINNINGS)
def test_a_tune_is_taken_away_in_every_format(client: Client, kind: str) -> None:
    answer = client.post("/api/export", abc=SHORT, format=kind)
    assert answer.status == 200
    assert answer.body.startswith(BEGINNINGS[kind])
    assert answer.headers["content-disposition"] == f'attachment; filename="short.{kind}"'


def test_abc_is_taken_away_as_it_was_typed(client: Client) -> None:
    assert client.post("/api/export", abc=JIG, format="abc").body.decode() == JIG


def test_an_instrument_can_be_chosen(client: Client) -> None:
    flute = client.post("/api/export", abc=SHORT, format="mid", instrument="flute").body
    assert flute == rendered(parse_text(SHORT).tunes, ".mid", instrument="flute")


def test_a_tunebook_is_one_zip_with_every_tune_once(client: Client) -> None:
    book = SHORT + "\n" + SHORT + "\n" + SHORT.replace("Short", "../../etc/passwd")
    content = client.post("/api/export", abc=book, format="zip").body
    names = zipfile.ZipFile(io.BytesIO(content)).namelist()
    kinds = ("abc", "mid", "musicxml", "svg", "mp3")
    titles = ("short", "short-2", "etc-passwd")
    assert names == [f"{t}.{k}" for t in titles for k in kinds] + ["book.abc", "book.pdf"]


def test_several_tunes_do_not_fit_in_a_format_for_one(client: Client) -> None:
    answer = client.post("/api/export", abc=SHORT + "\n" + SHORT, format="mid")
    assert (answer.status, answer.field) == (400, "format")


@pytest.mark.parametrize("suffix", [".abc", ".mid", ".musicxml", ".mxl"])
def test_an_uploaded_file_is_read_and_can_be_continued(client: Client, suffix: str) -> None:
    data = rendered(parse_text(JIG).tunes, suffix)
    answer = client.post("/api/read", name=f"kesh{suffix}", data=encoded(data))
    (tune,) = answer.json["tunes"]
    assert tune["svg"] is None
    assert [note["pitch"] for note in tune["notes"][:4]] == [62, 67, 67, 69]
    if suffix == ".mid":
        longer = client.post("/api/takes", kind="continue", abc=tune["abc"], bars=24).tunes[0]
        assert len(longer["notes"]) > len(tune["notes"])


def test_what_a_file_cannot_give_is_named(client: Client) -> None:
    book = JIG + "\nX:2\nT:Broken\n\nX:3\nT:Worse\nM:2/4\nABC\n"
    answer = client.post("/api/read", name="book.abc", data=encoded(book.encode())).json
    assert len(answer["tunes"]) == 1
    assert [skipped["name"] for skipped in answer["skipped"]] == ["Broken", "Worse"]


def test_no_file_is_looked_for_by_the_name_that_a_client_sends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("kesh.abc").write_text(JIG)
    opened: list[object] = []
    for module in ("builtins.open", "io.open", "os.open", "pathlib.Path.open"):
        monkeypatch.setattr(module, lambda *args, **_: opened.append(args) or 1 / 0)
    for name in ("kesh.abc", "../kesh.abc", "/etc/passwd.abc", "C:\\kesh.abc", "..\\kesh.abc"):
        request = json.dumps({"name": name, "data": encoded(JIG.encode())}).encode()
        assert len(json.loads(jobs.read(request))["tunes"]) == 1
    assert opened == []


@pytest.mark.parametrize(
    ("name", "data", "field"),
    [
        ("a.exe", b"MZ", "name"),
        ("noextension", b"X:1", "name"),
        ("/", b"X:1", "name"),
        ("a.mid", b"garbage", "data"),
        ("a.mid", b"MThd\0\0\0\6\0\1\xff\xff\0\0" + b"MTrk\xff\xff\xff\xff" * 9, "data"),
        ("a.mid", b"", "data"),
        ("a.abc", b"\0\1\2" * 99, "data"),
        ("a.musicxml", b"<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><x>&a;</x>", "data"),
        ("a.musicxml", b"<!DOCTYPE x [<!ENTITY a '" + b"a" * 9999 + b"'>]><x>&a;&a;</x>", "data"),
        ("a.musicxml", b"<" * 10_000, "data"),
        ("a.mxl", b"PK\3\4" + bytes(99), "data"),
        ("a.krn", b"\xff\xfe\0", "data"),
    ],
)
def test_a_hostile_file_is_refused(client: Client, name: str, data: bytes, field: str) -> None:
    answer = client.post("/api/read", name=name, data=encoded(data))
    assert (answer.status, answer.field) == (400, field)
    assert b"root:" not in answer.body


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".abc", ".mid", ".mxl", ".musicxml"])
def test_bombs_and_lies_are_read_or_refused(client: Client, suffix: str) -> None:
    names = [name for name in hostile.FILES if name.endswith(suffix)]
    assert len(names) > 10
    for name in names:
        data = hostile.FILES[name]()
        if len(data) > jobs.MAX_FILE_BYTES:
            continue
        answer = client.post("/api/read", name=name, data=encoded(data))
        assert answer.status in (200, 400, 422), name  # 422: over a limit of its child
        assert answer.status != 400 or answer.field == "data", name
        assert b"root:" not in answer.body, name
    assert client.get("/api/health").json["running"] == 0


def test_a_large_book_is_read_as_far_as_it_goes(client: Client) -> None:
    book = "X:1\nT:a\nK:D\nABcd|\n\n" * 5_000
    answer = client.post("/api/read", name="book.abc", data=encoded(book.encode())).json
    assert len(answer["tunes"]) == 200
    assert answer["skipped"][0]["why"].startswith("the rest of the file")


# --- inside the model -----------------------------------------------------------------------------


def test_surprise_and_attention_are_those_of_the_inspection(client: Client) -> None:
    from musicgen.evaluation.inspection import surprise
    from musicgen.models.checkpoint import load, locate

    heard = client.post("/api/surprise", abc=JIG)
    require_described(heard, "/api/surprise")
    answer = heard.json
    found = surprise.measure(parse_text(JIG).tunes[0], load(locate("celtic")))
    bits = {tuple(note["place"]): note["bits"] for note in answer["notes"]}
    assert bits == pytest.approx(found.of_note, abs=1e-3)
    assert answer["mean"] == pytest.approx(found.bits_per_note, abs=1e-3)
    colors = {row["color"] for row in answer["legend"]}
    assert set(re.findall(r'data-event="[^"]+" fill="(#\w+)"', answer["svg"])) <= colors

    attended = client.post("/api/attention", abc=JIG, place=[3, 2])
    require_described(attended, "/api/attention")
    seen = attended.json
    assert all(tuple(row["place"]) < (3, 2) for row in seen["weights"])
    assert 0 < sum(row["weight"] for row in seen["weights"]) <= 1
    for field, value in (("layer", 99), ("head", 99), ("place", [99, 0])):
        wrong = client.post("/api/attention", **({"abc": JIG, "place": [3, 2]} | {field: value}))
        assert (wrong.status, wrong.field) == (400, field)


# --- the server itself ----------------------------------------------------------------------------


def test_the_page_is_there_and_its_parts_are_typed(client: Client) -> None:
    page = client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    names = re.findall(rb'(?:src|href)="/?static/([^"]+)"', page.body)
    for name in names:
        part = client.get(f"/static/{name.decode()}")
        assert part.status == 200
        kind = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
        assert part.headers["content-type"].startswith(kind[name.decode().rpartition(".")[2]])
    tag = page.headers["etag"]
    assert client.get("/", **{"If-None-Match": tag}).status == 304


def test_what_can_be_asked_is_what_the_model_knows(client: Client) -> None:
    choices = client.get("/api/choices").json
    fields = {field["name"]: field for field in choices["fields"]}
    assert {"jig", "reel"} <= set(fields["rhythm"]["choices"])
    assert all(field["help"] and field["label"] for field in fields.values())
    assert "celtic" in choices["model"]["name"]
    assert choices["model"]["card"]


def test_health_says_how_busy_it_is(client: Client) -> None:
    health = client.get("/api/health").json
    assert health["status"] == "ok"
    assert health["version"] == musicgen.__version__


def test_a_client_that_leaves_gives_its_work_up(client: Client) -> None:
    with client.begin("/api/takes", kind="generate", number=8, controls={"bars": 256}):
        assert wait_until(lambda: client.busy() == 1)
    assert wait_until(lambda: client.busy() == 0)
    assert client.post("/api/takes", kind="generate", controls={"bars": 4}).tunes


def test_fifty_at_once_are_served_or_told_when_to_come_again(client: Client) -> None:
    seconds: list[float] = []
    with ThreadPoolExecutor(50) as pool:
        asked = [
            pool.submit(client.post, "/api/takes", kind="generate", seed=i, controls={"bars": 4})
            for i in range(50)
        ]
        while not all(answer.done() for answer in asked):
            seconds.append(client.get("/api/health").seconds)
            time.sleep(0.1)
    answers = [answer.result() for answer in asked]
    assert {answer.status for answer in answers} == {200, 429}
    for answer in answers:
        if answer.status == 429:
            assert int(answer.headers["retry-after"]) > 0
        else:
            assert len(answer.tunes) == 1
    assert median(seconds) < 2


# --- the command ----------------------------------------------------------------------------------


@contextmanager
def started(*options: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The command, and its port."""
    command = [str(Path(sys.executable).with_name("musicgen")), "studio", "--no-browser", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            address = process.stderr.readline().split()[-1]
            yield process, int(address.rstrip("/").rpartition(":")[2])
        finally:
            process.kill()


def test_a_signal_stops_it_in_time_whatever_is_under_way() -> None:
    with started("--port", "0") as (process, port), ExitStack() as open_:
        client = Client(port)
        assert wait_until(lambda: _answers(port), 60)
        for _ in range(3):
            open_.enter_context(client.begin("/api/takes", kind="generate", number=8))
        open_.enter_context(client.raw(b"GET / HT"))
        open_.enter_context(client.raw())
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143
        assert time.monotonic() - began < 15
        assert process.stderr is not None
        assert process.stderr.read() == "Ctrl-C stops it\n"


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_the_address_is_printed_and_opened(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], host: str
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr(StudioServer, "run", lambda self: self._listening.close() or 0)
    monkeypatch.setattr("sys.argv", ["musicgen", "studio", "--port", "0", "--host", host])
    with pytest.raises(SystemExit) as end:
        main()
    said = capsys.readouterr().err
    assert end.value.code == 0
    assert [f"the studio is at {address}" in said for address in opened] == [True]
    assert ("?token=" in said) == ("it asks for the token" in said) == (host != "127.0.0.1")


def test_a_port_that_is_taken_is_said_in_one_line() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [str(Path(sys.executable).with_name("musicgen")), "studio", "--port", str(port)],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert re.fullmatch(
        rf"error: cannot listen at 127.0.0.1 port {port} \(.+\); choose another with --port or "
        r"--host\n",
        done.stderr,
    )


def _answers(port: int) -> bool:
    try:
        return json.loads(Client(port).get("/api/health").body)["status"] == "ok"
    except (TimeoutError, OSError, ValueError):
        return False
