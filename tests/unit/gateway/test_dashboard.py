"""The dashboard's files: how they are found, how much they weigh, and that nothing in them breaks the page's policy."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

from jetmill_operator.gateway.web.route.dashboard import FOLDER, PATHS, base_of, read_files

MOST_SCRIPT_BYTES = 60_000


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


def scripts_of(files: dict[str, bytes], name: str) -> set[str]:
    """A script and all that it cannot do without."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            parts = re.findall(r'(?:from|import)\s*"\./([^"]+\.js)"', files[one].decode())
            waiting += [f"assets/{part}" for part in parts]
    return found


def test_whichever_page_is_opened_first_loads_at_most_sixty_kilobytes_packed(files: dict[str, bytes]) -> None:
    sizes = {name: len(gzip.compress(body, 9)) for name, body in files.items() if name.endswith(".js")}
    [entry] = [name for name in sizes if name.startswith("assets/index-")]
    chart = next(name for name in sizes if name.startswith("assets/chart-"))
    pages = [name for name in sizes if name not in scripts_of(files, entry)]
    assert len(pages) > 6, "each page is fetched by itself"
    for page in pages:
        loaded = scripts_of(files, entry) | scripts_of(files, page) | scripts_of(files, chart)
        total = sum(sizes[name] for name in loaded)
        assert total <= MOST_SCRIPT_BYTES, {name: sizes[name] for name in loaded}


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
    known = ("http://www.w3.org/",)  # names of XML's languages, which nobody asks for
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
