"""Files and functions stay small, and names say what is inside."""

import ast
from statistics import median

from tests.architecture.house import ROOT, files, python_files

_MOST_LINES_OF_A_FILE = 400
_MOST_LINES_OF_A_FUNCTION = 60
_EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "core", "misc", "manager", "managers", "shared", "lib"}
_TEST_FOLDERS = {
    "acceptance",
    "adapters",
    "architecture",
    "benchmarks",
    "deploy",
    "faults",
    "long",
    "mesh",
    "services",
    "stack",
    "support",
}
_OF_A_MACHINE = [f"/{folder}/" for folder in ("root", "work", "home")]


def test_files_are_short() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in python_files()}
    long = {name: lines for name, lines in lengths.items() if lines > _MOST_LINES_OF_A_FILE}
    assert long == {}, f"split them; the median file has {median(lengths.values())} lines"


def test_functions_are_short() -> None:
    lengths = {}
    for path in python_files():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                lengths[f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"] = lines
    long = {name: lines for name, lines in lengths.items() if lines > _MOST_LINES_OF_A_FUNCTION}
    assert long == {}, f"split them; the median function has {median(lengths.values())} lines"


def test_no_name_says_nothing() -> None:
    named = [path for path in python_files() if _EMPTY_NAMES & set(path.relative_to(ROOT).with_suffix("").parts)]
    assert named == []


def test_tests_are_where_they_are_looked_for() -> None:
    tests = [path.relative_to(ROOT) for path in python_files() if path.name.startswith("test_")]
    assert [path for path in tests if path.parts[0] != "tests" or path.parts[1] not in _TEST_FOLDERS] == []


def test_no_file_names_a_place_on_somebodys_machine() -> None:
    naming = []
    for path in files():
        data = path.read_bytes()
        naming += [f"{path.relative_to(ROOT)}: {place}" for place in _OF_A_MACHINE if place.encode() in data]
    assert naming == []
