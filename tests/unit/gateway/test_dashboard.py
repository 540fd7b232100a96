"""The dashboard's files: how they are found, how much they weigh, and that nothing in them breaks the page's policy."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

from jetmill_operator.gateway.web.route.dashboard import FOLDER, PATHS, base_of, read_files

MOST_FIRST_BYTES = 60_000
MOST_SCRIPT_BYTES = 90_000
FIRST = ("index", "overview", "chart")
"""What the first page loads: the program, the page itself and the library of its charts, which it fetches by name."""


@pytest.fixture
def files() -> dict[str, bytes]:
    """What was built; `make install` and `make page` build it."""
    found = {name: file.body for name, file in read_files(FOLDER).items()}
    assert "index.html" in found, "the dashboard is not built: make page"
    return found


@pytest.mark.parametrize(
    ("path", "base"),
    [("/", "./"), ("/jobs", "./"), ("/jobs/", "../"), ("/jobs/0199", "../"), ("/declarations/mail", "../")],
)
def test_the_base_is_the_pages_root_as_seen_from_any_of_its_addresses(path: str, base: str) -> None:
    assert base_of(path) == base


def weigh(names: set[str], files: dict[str, bytes]) -> dict[str, int]:
    """Bytes of each as a browser gets it, packed."""
    return {name: len(gzip.compress(files[name], 9)) for name in sorted(names)}


def find_needed(names: set[str], files: dict[str, bytes]) -> set[str]:
    """Scripts and all that they import at once; what they fetch later (`import("…")`) is left out."""
    needed: set[str] = set()
    rest = list(names)
    while rest:
        name = rest.pop()
        if name not in needed:
            needed.add(name)
            found = re.findall(r"""(?:from|import)\s*["'`]\./([^"'`]+\.js)["'`]""", files[name].decode())
            rest += [f"assets/{one}" for one in found]
    return needed


def test_the_first_page_loads_at_most_sixty_kilobytes_of_script_packed(files: dict[str, bytes]) -> None:
    first = {name for name in files if re.fullmatch(rf"assets/(?:{'|'.join(FIRST)})-[\w-]{{8}}\.js", name)}
    assert len(first) == len(FIRST), sorted(files)
    sizes = weigh(find_needed(first, files), files)
    assert sum(sizes.values()) <= MOST_FIRST_BYTES, sizes


def test_all_scripts_together_weigh_at_most_ninety_kilobytes_packed(files: dict[str, bytes]) -> None:
    sizes = weigh({name for name in files if name.endswith(".js")}, files)
    assert sum(sizes.values()) <= MOST_SCRIPT_BYTES, sizes


def test_pages_that_are_not_looked_at_are_not_loaded(files: dict[str, bytes]) -> None:
    first = {name for name in files if re.match(rf"assets/(?:{'|'.join(FIRST)})-", name)}
    loaded = {re.sub(r"assets/([\w-]+)-[\w-]{8}\.js", r"\1", name) for name in find_needed(first, files)}
    assert loaded & {"jobs", "job", "declaration", "workers", "dead", "settings"} == set()


def test_the_document_holds_no_script_and_no_style_of_its_own(files: dict[str, bytes]) -> None:
    text = files["index.html"].decode()
    assert re.findall(r"<script[^>]*>([^<]+)</script>", text) == []
    assert re.findall(r"<style|\sstyle=|\son\w+=|javascript:", text) == []
    assert '<base href="/" />' in text, "the route replaces it"


def test_everything_that_the_document_names_is_there_and_relative(files: dict[str, bytes]) -> None:
    names = re.findall(r'(?:src|href)="([^"]+)"', files["index.html"].decode())
    assert [name for name in names if name != "/" and not name.startswith("./")] == []
    assert [name for name in names if name != "/" and name.removeprefix("./") not in files] == []


def test_names_of_scripts_and_styles_carry_a_hash(files: dict[str, bytes]) -> None:
    bare = [name for name in files if name.startswith("assets/") and not re.search(r"-[\w-]{8}\.(js|css)$", name)]
    assert bare == []


def test_no_file_names_an_address_elsewhere(files: dict[str, bytes]) -> None:
    # Names of XML's languages, and the address in the example of a Webhook: nobody asks for either.
    known = ("http://www.w3.org/", "https://billing.example.com/")
    found = {
        address
        for body in files.values()
        for address in re.findall(r"(?:https?|wss?)://[\w.-]+[^\s\"'`]*", body.decode())
        if not address.startswith(known)
    }
    assert found == set()


def test_every_page_of_the_script_has_an_address_that_is_served() -> None:
    source = Path(__file__).parents[3] / "operator/ui/src/place.ts"
    places = re.findall(r'path: "([^"]*)"', source.read_text())
    assert places
    assert [place for place in places if f"/{place}" not in PATHS] == []


def test_a_folder_without_files_has_none(tmp_path: Path) -> None:
    assert read_files(tmp_path / "none") == {}
