"""The lines of yaml that docs/stock_recipes.md adds to stock recipes.

Authors
 * The speechbrain-neuronprune authors 2026
"""

import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "stock_recipes.md"


def additions() -> dict[str, str]:
    """The added lines, by the path of the recipe."""
    text = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"^```diff\n--- (\S+)\n(.*?)^```$", text, re.M | re.S)
    return {
        path: re.sub(r"^\+", "", lines, flags=re.M) for path, lines in blocks
    }


def added_lines(recipe: str, steps: int) -> str:
    """Those of one recipe, with a shorter schedule.

    Arguments
    ---------
    recipe : str
        Path in SpeechBrain's repository.
    steps : int
        Steps of the schedule.
    """
    return "\n" + re.sub(r"steps: \d+", f"steps: {steps}", additions()[recipe])


def informed_lines(hold: int, steps: int) -> str:
    """Those that make gates begin informed, with a shorter schedule.

    Arguments
    ---------
    hold : int
        Steps of the hold.
    steps : int
        Steps of the decline.
    """
    text = PAGE.read_text(encoding="utf-8")
    section = text.partition("## Logits that begin informed")[2]
    lines = re.search(r"^```yaml\n(.*?)^```$", section, re.M | re.S)[1]
    lines = re.sub(r"hold: \d+", f"hold: {hold}", lines)
    return "\n" + re.sub(r"steps: \d+", f"steps: {steps}", lines)
