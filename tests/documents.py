"""The code blocks of the README and the documents.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
RECIPES = ROOT / "recipes/LibriSpeech/README.md"
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

# The programs that documents call; in their place, bash writes down the folder
# and the words of the call, each ended by a zero, and a zero after them.
PROGRAMS = (
    *("make", "pip", "python", "neuronprune"),
    *("neuronprune-mini", "neuronprune-domain", "neuronprune-alike"),
)
RECORD = "{ printf '%s\\0' \"$PWD\" NAME \"$@\"; printf '\\0'; }"
RECORDERS = "\n".join(
    f"{name}() {RECORD.replace('NAME', name)}" for name in PROGRAMS
)


def code_blocks(document: Path, language: str) -> list[str]:
    """A document's fenced blocks of one language, each behind as many empty
    lines as stand above it, so that tracebacks name the right line."""
    fence = rf"^```{language}\n(.*?)^```$"
    text = document.read_text(encoding="utf-8")
    return [
        "\n" * text.count("\n", 0, block.start(1)) + block.group(1)
        for block in re.finditer(fence, text, re.MULTILINE | re.DOTALL)
    ]


def shell_calls(document: Path) -> list[tuple[Path, list[str]]]:
    """The program calls that a document's bash blocks come to, loops unrolled:
    the folder of each, below the repository's, and its words."""
    calls = []
    for block in code_blocks(document, "bash"):
        recorded = subprocess.run(
            ["bash", "-euc", f"{RECORDERS}\n{block}"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for call in recorded.split("\0\0")[:-1]:
            folder, *words = call.split("\0")
            calls.append((Path(folder).relative_to(ROOT), words))
    return calls
