"""The loop, the command line and the run directory know no family and no vendor by name."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import phyt2v_cli
from phyt2v_cli.backends.diffusion.families import table as families
from phyt2v_cli.config.judges import VENDOR_URL, ServiceConfig

ROOT = Path(phyt2v_cli.__file__).parent
KNOWING = {
    ROOT / "config" / f"{name}.py" for name in ("files", "generator", "judges", "layers", "section", "trust")
}
"""What each setting may hold is said there, and what a key that is set means."""

MODULES = sorted(
    path
    for path in ROOT.rglob("*.py")
    if path.relative_to(ROOT).parts[0] not in ("backends", "tiny") and path not in KNOWING
)
FAMILIES = {families.family_of(name, {}).name.split()[0] for name in families.FAMILY_OF_PIPELINE}
VENDORS = {urlsplit(VENDOR_URL).hostname or "", ServiceConfig.model_fields["api_key_env"].default}
EACH = "|".join(map(re.escape, sorted(FAMILIES | VENDORS)))
NAMES = re.compile(rf"\b({EACH})(?:Pipeline|(?![a-z]))", re.IGNORECASE)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_family_and_no_vendor_is_named(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    # Examples in the help name a model as any user would.
    code = [line for line in lines if not line.startswith("phyt2v ")]
    assert NAMES.findall("\n".join(code)) == []


def test_the_names_are_looked_for() -> None:
    assert {"CogVideoX", "Wan", "LTX", "HunyuanVideo", "Mochi"} <= FAMILIES
    assert NAMES.search('if name == "cogvideox-5b":')
    assert NAMES.search(f'os.environ["{ServiceConfig().api_key_env}"]')
    assert not NAMES.search("what is wanted")
