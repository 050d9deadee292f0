"""The studio's server, spoken to over HTTP as a browser and as a stranger would."""

from __future__ import annotations

from musicgen.studio import requests


def test_a_request_takes_the_controls_of_the_command_line() -> None:
    assert requests.CONTROLS["key"].kind == "text"
