"""A page in a real browser: no error in its console, each video plays, nothing comes from elsewhere."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from phyt2v_cli.report.page import write_report
from tests.fake_runs import make_config, run_through

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SCRIPT = """
addEventListener("load", () => {
  document.title = JSON.stringify({
    ready: [...document.querySelectorAll("video")].map(video => video.readyState),
    errors: [...document.querySelectorAll("video")].map(video => video.error && video.error.message),
    fetched: performance.getEntriesByType("resource").map(entry => entry.name),
  });
});
"""
"""What the test adds to a copy of the page; the page itself has no script."""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.parametrize("embed", [False, True], ids=["beside its videos", "with its videos"])
def test_a_page_in_a_browser(embed: bool, tmp_path: Path) -> None:
    path = tmp_path / "run"
    run_through(path, make_config(2, control=True))
    page = write_report(path, embed=embed).read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    asking = page.replace("default-src 'none';", f"default-src 'none'; script-src 'sha256-{digest}';", 1)
    copy = path / "copy.html"
    asking = asking.replace('preload="metadata"', 'preload="auto"')  # which the load event waits for
    copy.write_text(asking.replace("</body>", f"<script>{SCRIPT}</script></body>"), encoding="utf-8")
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
    found = json.loads(told[1].replace("&quot;", '"'))
    assert len(found["ready"]) == page.count("<video") > 4
    assert set(found["errors"]) == {None}
    assert min(found["ready"]) >= 2
    assert all(name.startswith((path.as_uri(), "data:")) for name in found["fetched"])
