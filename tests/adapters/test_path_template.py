"""Templates: the grammar, and matching against a regular expression that says the same."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.rest.path_template import TemplateInvalid, parse_template
from adapters.rest.routing import PathNotFound, Router

LITERALS = st.sampled_from(["a", "b", "v1", "x-y", "z.json"])
WORDS = st.sampled_from(["a", "b", "v1", "", "é", "x:y", "c"])


@st.composite
def templates(draw: st.DrawFn) -> tuple[str, str]:
    """A template, and the regular expression of the paths that it matches (each segment with a slash after it)."""
    texts, patterns, deep = [], [], False
    for index in range(draw(st.integers(1, 4))):
        parts, expressions = [], []
        for _ in range(draw(st.integers(1, 2))):
            part = draw(st.one_of(LITERALS, st.just("*"), st.just("*" if deep else "**")))
            deep = deep or part == "**"
            parts.append(part)
            expressions.append({"*": "[^/]*/", "**": "(?:[^/]*/)*"}.get(part, re.escape(part) + "/"))
        if draw(st.booleans()):
            pattern = "/".join(parts)
            texts.append(f"{{f{index}.g}}" if pattern == "*" and draw(st.booleans()) else f"{{f{index}={pattern}}}")
            patterns.append(f"({''.join(expressions)})")
        else:
            texts.extend(parts)
            patterns.extend(expressions)
    return "/" + "/".join(texts), "".join(patterns)


@given(templates(), st.lists(WORDS, min_size=1, max_size=6))
def test_matches_what_its_regular_expression_matches(template: tuple[str, str], path: list[str]) -> None:
    text, pattern = template
    expected = re.fullmatch(pattern, "".join(f"{segment}/" for segment in path))
    found = parse_template(text).match(path)
    if expected is None:
        assert found is None
    else:
        assert found == tuple(value.removesuffix("/") for value in expected.groups())


@given(templates(), st.sampled_from(["read", "a.b", "custom:custom"]), st.lists(WORDS, min_size=1, max_size=5))
def test_the_router_agrees_with_the_template(template: tuple[str, str], verb: str, path: list[str]) -> None:
    text, _ = template
    if ":" in verb and not text.endswith("}"):
        verb = "read"
    router: Router[str] = Router()
    router.add("GET", parse_template(text), "plain")
    router.add("GET", parse_template(f"{text}:{verb}"), "verb")
    expected = parse_template(text).match(path)
    try:
        assert tuple(router.find("GET", "/" + "/".join(path) + f":{verb}")) == ("verb", expected)
    except PathNotFound:
        assert expected is None or path[-1] == ""


@pytest.mark.parametrize(
    ("text", "verb"),
    [
        ("/v1/{id}:custom:custom", "custom:custom"),
        ("/v1/a:b:c", "c"),
        ("/v1/{name=a/*}:x", "x"),
        ("/v1/a", ""),
        ("/", ""),
    ],
)
def test_verbs(text: str, verb: str) -> None:
    assert parse_template(text).verb == verb


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "//",
        "/a/",
        "/a//b",
        "/{",
        "/{a",
        "/{a=}x",
        "/{a={b}}",
        "/{a}/{a}",
        "/**/**",
        "/a*",
        "/{1a}",
        "/{a.}",
        "/}",
    ],
)
def test_wrong_templates(text: str) -> None:
    with pytest.raises(TemplateInvalid):
        parse_template(text)


def test_a_verb_alone_is_no_segment() -> None:
    router: Router[str] = Router()
    router.add("GET", parse_template("/v/{id}:act"), "act")
    with pytest.raises(PathNotFound):
        router.find("GET", "/v/:act")


def test_very_long_paths() -> None:
    router: Router[int] = Router()
    router.add("GET", parse_template("/a/{rest=**}"), 1)
    router.add("GET", parse_template("/" + "/".join("b" * 40)), 2)
    assert router.find("GET", "/a" + "/x" * 50).values == ("/".join("x" * 50),)
    assert router.find("GET", "/" + "/".join("b" * 40)).endpoint == 2
    with pytest.raises(PathNotFound):
        router.find("GET", "/b" * 39)
