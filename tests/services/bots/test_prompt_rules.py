"""What prompts decide: which texts are taken, how they are rendered and compared, how labels move."""

import re
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.bots.errors import (
    BotsError,
    NothingToRollBack,
    RenderedTooLong,
    TemplateInvalid,
    VariableInvalid,
    VariableMissing,
    VariableUnknown,
)
from services.bots.rules import (
    Label,
    PromptVersion,
    Variable,
    VariableType,
    check_template,
    difference,
    moved,
    render,
    rolled_back,
)
from services.chassis.identifiers import new_id

NOW = datetime(2026, 1, 2, tzinfo=UTC)
CITY = Variable("city")
AGE = Variable("age", VariableType.INTEGER, default="7")


@pytest.mark.parametrize(
    ("text", "values", "rendered"),
    [
        ("Talk of {{city}}.", {"city": "Huế"}, "Talk of Huế."),
        ("{{ city }}{{city}}", {"city": "x"}, "xx"),
        ("{{city}}", {"city": "{{age}}"}, "{{age}}"),
        ("{{city}} {{age}}", {"city": "Bonn"}, "Bonn 7"),
        ("{{city}} {{age}}", {"city": "", "age": "-12"}, " -12"),
        ("a { b } c", {"city": "unused"}, "a { b } c"),
        ('{"user": {"name": "x"}}', {"city": "unused"}, '{"user": {"name": "x"}}'),
        ('{"user": {"name": {{city}}}}', {"city": "1"}, '{"user": {"name": 1}}'),
        ('{"user": {"name": "{{city}}"}}', {"city": "Huế"}, '{"user": {"name": "Huế"}}'),
        ("{{ 1 }} {{}} {{no name}} }} {{", {"city": "unused"}, "{{ 1 }} {{}} {{no name}} }} {{"),
        ("{{{{city}}}}", {"city": "x"}, "{{x}}"),
        (r"\{{city}}", {"city": "x"}, "{{city}}"),
        (r"\{{ city }} \\{{ city }}", {"city": "x"}, r"{{ city }} \x"),
        (r"\n \{ \ \{{ no }}", {"city": "x"}, r"\n \{ \ {{ no }}"),
    ],
)
def test_values_take_the_place_of_their_variables(text: str, values: dict[str, str], rendered: str) -> None:
    assert render(text, [CITY, AGE], values) == rendered


@pytest.mark.parametrize(
    ("values", "error", "named"),
    [
        ({}, VariableMissing, "city"),
        ({"city": "Bonn", "town": "Bonn"}, VariableUnknown, "town"),
        ({"city": "Bonn", "age": "old"}, VariableInvalid, "age"),
        ({"city": "Bonn", "age": "1.5"}, VariableInvalid, "age"),
    ],
)
def test_values_that_do_not_fit_are_named(values: dict[str, str], error: type[BotsError], named: str) -> None:
    with pytest.raises(error) as raised:
        render("{{city}} {{age}}", [CITY, AGE], values)
    assert raised.value.fields["variable"] == named


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (VariableType.INTEGER, ["0", "-3"], ["", "1.0", "x", "٣"]),
        (
            VariableType.NUMBER,
            ["0", "-3.5", "1e3", "2.50E-4"],
            [
                "",
                "x",
                "nan",
                "inf",
                "1e999",
                "1_000",
                " 12 ",
                "12\n",
                "١٢",
                "１２",
                "+1",
                ".5",
                "5.",
                "007",
                "0x1p-2",
                "1,5",
            ],
        ),
        (VariableType.BOOLEAN, ["true", "false"], ["", "True", "1"]),
        (VariableType.STRING, ["", "anything"], []),
    ],
)
def test_a_value_is_of_its_type(kind: VariableType, good: list[str], bad: list[str]) -> None:
    variable = Variable("v", kind)
    assert [render("{{v}}", [variable], {"v": value}) for value in good] == good
    for value in bad:
        with pytest.raises(VariableInvalid):
            render("{{v}}", [variable], {"v": value})


@pytest.mark.parametrize(
    ("text", "variables", "cause"),
    [
        ("{{town}}", [CITY], "town is not declared"),
        ('{"a": {"b": {{town}}}}', [CITY], "town is not declared"),
        (r"\\{{town}}", [CITY], "town is not declared"),
        ("", [CITY, CITY], "declared twice"),
        ("", [Variable("n", VariableType.NUMBER, default="many")], "default of n"),
    ],
)
def test_a_text_that_cannot_be_rendered_is_refused(text: str, variables: list[Variable], cause: str) -> None:
    with pytest.raises(TemplateInvalid, match=cause.replace("{", r"\{")):
        check_template(text, variables)


@given(st.text(), st.text())
def test_what_is_taken_can_be_rendered_with_any_text(text: str, value: str) -> None:
    try:
        check_template(text, [CITY])
    except TemplateInvalid:
        return
    rendered = render(text, [CITY], {"city": value})
    if "{{" not in text:
        assert rendered == text


@given(st.lists(st.sampled_from(["{{city}}", "{{ city }}", "{", "}", "\\", "city", "\n", '"'])).map("".join))
def test_an_escaped_text_is_rendered_as_it_was(text: str) -> None:
    """Any text can be a prompt: escape each placeholder with a backslash and double the backslashes before it."""
    escaped = re.sub(r"(\\*)(\{\{\s*city\s*\}\})", lambda match: match[1] * 2 + "\\" + match[2], text)
    check_template(escaped, [CITY])
    assert render(escaped, [CITY], {"city": "x"}) == text


def _version(number: int, text: str, *variables: Variable) -> PromptVersion:
    return PromptVersion(new_id(), number, text, variables, "", "ann", NOW)


def test_a_difference_names_lines_and_variables() -> None:
    found = difference(_version(1, "Be kind.\nTalk of {{city}}.\n", CITY), _version(2, "Be kind.\nBe {{age}}.\n", AGE))
    assert found.text.splitlines() == [
        "--- version 1",
        "+++ version 2",
        "@@ -1,2 +1,2 @@",
        " Be kind.",
        "-Talk of {{city}}.",
        "+Be {{age}}.",
    ]
    assert found.variables == ["- city: string", "+ age: integer = 7"]
    same = difference(_version(1, "Same.", CITY), _version(2, "Same.", CITY))
    assert (same.text, same.variables) == ("", [])


def test_a_label_goes_back_step_by_step() -> None:
    label = Label("production", 1)
    for version in (2, 3):
        label = moved(label, version, NOW)
    assert (label.version, label.before, label.revision) == (3, (1, 2), 3)
    label = rolled_back(label, NOW)
    assert (label.version, label.revision) == (2, 4)
    label = rolled_back(label, NOW)
    assert label.version == 1
    with pytest.raises(NothingToRollBack):
        rolled_back(label, NOW)


@pytest.mark.parametrize("text", ["\\" * 100_000, "\\" * 99_991 + "{{city}}", "{{" + " " * 99_998, "{{a" * 33_000])
def test_a_long_text_is_read_in_time_of_its_length(text: str) -> None:
    began = time.process_time()
    check_template(text, [CITY])
    render(text, [CITY], {"city": "x"})
    assert time.process_time() - began < 5


def test_a_prompt_does_not_grow_without_a_limit() -> None:
    assert len(render("{{city}}" * 100, [CITY], {"city": "x" * 9_992})) == 999_200
    with pytest.raises(RenderedTooLong):
        render("{{city}}" * 12_500, [CITY], {"city": "x" * 10_000})
    with pytest.raises(RenderedTooLong):
        render("{{city}}" * 12_500, [Variable("city", default="x" * 10_000)], {})
    assert render(r"\{{city}}" * 11_000, [CITY], {"city": "x" * 10_000}) == "{{city}}" * 11_000
