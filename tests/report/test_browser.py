"""A page in a real browser: its console is empty, videos play in step, nothing comes from elsewhere."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from phyt2v_cli.files.video import write_video
from phyt2v_cli.report.page import write_report
from tests.fake_runs import make_config, run_through

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
LOADED = """
addEventListener("load", () => {
  document.title = JSON.stringify({
    ready: [...document.querySelectorAll("video")].map(video => video.readyState),
    errors: [...document.querySelectorAll("video")].map(video => video.error && video.error.message),
    fetched: performance.getEntriesByType("resource").map(entry => entry.name),
  });
});
"""
PLAYED = """
(async () => {
  const frame = document.body.appendChild(document.createElement("iframe"));
  frame.contentDocument.open();  // until it is closed, the page is not loaded, and so not told
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));
  const videos = [...document.querySelectorAll(".in-step")].map(
    (row) => [...row.querySelectorAll("video")].filter((video) => !video.closest("details")),
  );
  const told = {};
  await wait(500);
  const note = async (name, ms) => {
    await wait(ms);
    told[name] = videos.map((row) => row.map((video) => [video.currentTime, video.paused]));
  };
  videos[0][0].play();
  await note("played", 800);
  await note("looped", 2200);
  videos[0][1].pause();
  await note("paused", 300);
  videos[0][1].currentTime = 1.5;
  await note("sought", 300);
  videos[1][2].play();
  await note("others", 500);
  document.title = JSON.stringify(told);
  frame.contentDocument.close();
})();
"""
"""What the tests add to a copy of the page, each with its own digest in the policy."""

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")]


def told_by(page: Path, script: str, tmp_path: Path) -> Any:
    """What a script tells of a copy of a page, as the title of that; the console stays empty."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    text = page.read_text(encoding="utf-8").replace("script-src ", f"script-src 'sha256-{digest}' ", 1)
    text = text.replace('preload="metadata"', 'preload="auto"')  # which the load event waits for
    copy = page.with_name("copy.html")
    copy.write_text(text.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    assert CHROMIUM is not None
    seen = subprocess.run(
        [
            CHROMIUM,
            *("--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"),
            *(f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"),
            copy.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert "CONSOLE" not in seen.stderr
    told = re.search("<title>(.*?)</title>", seen.stdout)
    assert told is not None, seen.stderr
    return json.loads(told[1].replace("&quot;", '"'))


@pytest.mark.parametrize("embed", [False, True], ids=["beside its videos", "with its videos"])
def test_a_page_in_a_browser(embed: bool, tmp_path: Path) -> None:
    path = tmp_path / "run"
    run_through(path, make_config(2, control=True))
    page = write_report(path, embed=embed)
    found = told_by(page, LOADED, tmp_path)
    assert len(found["ready"]) == page.read_text(encoding="utf-8").count("<video") > 4
    assert set(found["errors"]) == {None}
    assert min(found["ready"]) >= 2
    assert all(name.startswith((path.as_uri(), "data:")) for name in found["fetched"])


def test_videos_of_a_row_play_pause_and_seek_together(tmp_path: Path) -> None:
    path = tmp_path / "run"
    run_through(path, make_config(2, control=True))
    for video in path.glob("*.mp4"):
        write_video(video, np.zeros((24, 48, 64, 3), np.uint8), fps=12, metadata=None)
    told = told_by(write_report(path), PLAYED, tmp_path)
    rows = {name: [[time for time, _ in row] for row in rows] for name, rows in told.items()}
    are_paused = {name: [{paused for _, paused in row} for row in rows] for name, rows in told.items()}
    for name, (pair, rounds) in rows.items():
        assert (len(pair), len(rounds)) == (2, 4), name
        assert max(pair) - min(pair) < 0.25 > max(rounds) - min(rounds), name
    assert 0.2 < min(rows["played"][0]) < 1.5
    assert rows["paused"][0][0] == pytest.approx(rows["paused"][0][1], abs=0.02)
    assert [are_paused[name][0] for name in ("played", "looped", "paused")] == [{False}, {False}, {True}]
    assert rows["sought"][0] == [1.5, 1.5]
    assert rows["sought"][1] == [0] * 4, "the other row has not begun"
    assert min(rows["others"][1]) > 0.2
    assert are_paused["others"] == [{True}, {False}]
