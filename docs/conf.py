"""How Sphinx builds the documentation: MyST pages, Furo's theme, every warning an error (`make docs`)."""

project = "Jetmill"
author = "The Jetmill authors"
project_copyright = author
version = release = "0.1.0"

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
nitpicky = True

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = "Jetmill"
