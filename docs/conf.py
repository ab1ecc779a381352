"""How Sphinx builds the documentation: ``make docs``.

The source directory is the root of the repository, so that links between
README, recipes and docs lead to the same places here as in the repository.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from importlib import metadata

from sphinx.application import Sphinx
from sphinx.ext.autodoc import cut_lines

project = "speechbrain-neuronprune"
author = "The speechbrain-neuronprune authors"
project_copyright = f"2026, {author}"
release = metadata.version(project)

root_doc = "docs/index"
include_patterns = [
    "README.md",
    "CHANGELOG.md",
    "docs/**",
    "recipes/**/README.md",
]
exclude_patterns = [".*", "build", "results"]

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

# The docstrings are numpy's, with SpeechBrain's "Arguments", and name types.
napoleon_google_docstring = False
napoleon_use_rtype = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_default_options = {
    "members": True,
    "ignore-module-all": True,  # what a package imports has its place elsewhere
    "show-inheritance": True,
}
# A public name has two places, the package and its module. Where a docstring
# names it as a type, either will do.
suppress_warnings = ["ref.python"]

templates_path = ["_templates"]
html_theme = "furo"
html_title = project
# The entry page is docs/index; people look for index.html at the top.
html_additional_pages = {"index": "redirect.html"}


def setup(app: Sphinx) -> None:
    """Leave out the two lines at a module's end that name the authors."""
    app.connect("autodoc-process-docstring", cut_lines(0, 2, what=["module"]))
