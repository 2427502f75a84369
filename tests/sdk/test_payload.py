from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, TypedDict
from uuid import UUID

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trigger_lite import Ctx, DefinitionError, PayloadError
from trigger_lite.protocol.tasks import MAX_PAYLOAD_BYTES
from trigger_lite.sdk.payload import JSON, SUPERJSON, TEXT, PayloadCodec


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Plain:
    org: str
    since: datetime | None = None
    sizes: list[int] = field(default_factory=list)


class Struct(msgspec.Struct, rename="camel"):
    org_name: str
    size: int = 1


@attrs.define
class Attrs:
    org: str
    size: int = 1


class Model(pydantic.BaseModel):
    org: str
    size: int = pydantic.Field(default=1, ge=0)


class Nested(pydantic.BaseModel):
    owner: Model
    others: list[Model] = []


class Typed(TypedDict):
    org: str
    size: int


def codec(fn: Callable[..., Any]) -> PayloadCodec:
    return PayloadCodec(fn, fn.__name__)


def arguments(fn: Callable[..., Any], payload: str, kind: str = JSON) -> dict[str, Any]:
    return dict(codec(fn).decode(payload, kind).arguments)


def journey(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
    """What arrives when these arguments are triggered."""
    return arguments(fn, codec(fn).encode(args, kwargs))


# ---- several parameters: an object ---------------------------------------------------------------------


def resize(url: str, width: int = 100, *, colour: Colour = Colour.RED) -> None: ...


def test_parameters_are_the_keys_of_an_object() -> None:
    assert codec(resize).encode(("u",), {"colour": Colour.BLUE}) == '{"url":"u","colour":"blue"}'
    assert journey(resize, "u", colour=Colour.BLUE) == {"url": "u", "width": 100, "colour": Colour.BLUE}


def test_an_absent_key_takes_the_functions_own_default() -> None:
    assert arguments(resize, '{"url":"u"}')["width"] == 100


def test_positional_only_parameters_are_passed_by_position() -> None:
    def area(width: int, /, height: int = 2) -> None: ...

    bound = codec(area).decode('{"width":3}', JSON)
    assert (bound.args, bound.kwargs) == ((3, 2), {})


def test_extra_keyword_arguments_travel_and_are_checked() -> None:
    def tag(name: str, **counts: int) -> None: ...

    assert journey(tag, "x", a=1, b=2) == {"name": "x", "counts": {"a": 1, "b": 2}}
    with pytest.raises(PayloadError, match=r"Expected `int`, got `str` - at `\$\[\.\.\.\]`"):
        arguments(tag, '{"name":"x","a":"one"}')


def test_rich_types_survive_the_journey() -> None:
    def rich(when: datetime, price: Decimal, who: UUID, file: Path, tags: set[str], raw: bytes) -> None: ...

    values = {
        "when": datetime(2030, 1, 2, tzinfo=UTC),
        "price": Decimal("1.10"),
        "who": UUID(int=7),
        "file": Path("a/b.csv"),
        "tags": {"x", "y"},
        "raw": b"\x00\xff",
    }
    assert journey(rich, **values) == values


def test_the_context_is_no_part_of_the_payload() -> None:
    def first(ctx: Ctx, url: str) -> None: ...
    def last(url: str, ctx: Ctx) -> None: ...
    def quoted(url: str, ctx: "Ctx") -> None: ...
    def optional(url: str, ctx: Ctx | None = None) -> None: ...
    def unannotated(url, ctx): ...  # type: ignore[no-untyped-def]
    def other_name(context: Ctx, url: str) -> None: ...

    for fn in (first, last, quoted, optional, unannotated, other_name):
        assert codec(fn).encode(("u",), {}) == '{"url":"u"}', fn.__name__


def test_a_parameter_named_ctx_of_another_type_is_payload() -> None:
    def draw(ctx: str, size: int) -> None: ...

    assert journey(draw, "2d", 3) == {"ctx": "2d", "size": 3}


def test_a_missing_key_is_named() -> None:
    with pytest.raises(PayloadError, match="resize: the payload has no `url`") as caught:
        arguments(resize, '{"width":3}')
    assert caught.value.path == "$.url"


def test_an_unknown_key_is_named_with_the_nearest_one() -> None:
    with pytest.raises(PayloadError, match="unknown key `widht`; did you mean 'width'"):
        arguments(resize, '{"url":"u","widht":3}')


def test_a_value_of_the_wrong_type_is_named_with_its_place() -> None:
    with pytest.raises(PayloadError) as caught:
        arguments(resize, '{"url":"u","width":"wide"}')
    assert str(caught.value) == "resize: Expected `int`, got `str` - at `$.width`"
    assert (caught.value.path, caught.value.expected, caught.value.got) == ("$.width", "int", "str")


@pytest.mark.parametrize(("payload", "got"), [("3", "number"), ("[]", "array"), ("null", "null")])
def test_anything_but_an_object_is_refused(payload: str, got: str) -> None:
    with pytest.raises(PayloadError, match=f"Expected an object with `url`, .*, got `{got}`"):
        arguments(resize, payload)


def test_text_that_is_no_json_is_refused() -> None:
    with pytest.raises(PayloadError, match="resize: not JSON"):
        arguments(resize, "{url: 3}")


# ---- encoding ------------------------------------------------------------------------------------------


def test_arguments_that_do_not_fit_are_refused_before_they_are_sent() -> None:
    with pytest.raises(PayloadError, match="missing a required argument: 'url'"):
        codec(resize).encode((), {})
    with pytest.raises(PayloadError, match=r"Expected `int`, got `str` - at `\$\.width`"):
        codec(resize).encode(("u", "wide"), {})
    with pytest.raises(PayloadError, match="unexpected keyword argument 'widht'"):
        codec(resize).encode(("u",), {"widht": 3})


def test_a_wrong_field_of_a_dataclass_is_refused_before_it_is_sent() -> None:
    def sync(p: Plain) -> None: ...

    with pytest.raises(PayloadError, match=r"Expected `str`, got `int` - at `\$\.org`"):
        codec(sync).encode((Plain(3),), {})  # type: ignore[arg-type]


def test_a_value_that_json_cannot_hold_is_refused() -> None:
    def anything(value: Any) -> None: ...

    with pytest.raises(PayloadError, match="a value of type `object` cannot be written as JSON"):
        codec(anything).encode((object(),), {})


def test_a_payload_over_the_limit_is_refused_before_it_is_sent() -> None:
    def upload(text: str) -> None: ...

    with pytest.raises(PayloadError, match=f"larger than {MAX_PAYLOAD_BYTES} bytes"):
        codec(upload).encode(("é" * (MAX_PAYLOAD_BYTES // 2),), {})


# ---- a lone parameter that is the payload --------------------------------------------------------------


def whole_dataclass(p: Plain) -> None: ...
def whole_struct(p: Struct) -> None: ...
def whole_attrs(p: Attrs) -> None: ...
def whole_model(p: Model) -> None: ...
def whole_typed(p: Typed) -> None: ...
def whole_dict(p: dict[str, int]) -> None: ...
def whole_mapping(p: Mapping[str, int]) -> None: ...
def whole_any(p: Any) -> None: ...
def whole_optional(p: Plain | None) -> None: ...
def whole_annotated(p: Annotated[Plain, "the one"]) -> None: ...
def whole_with_context(p: Plain, ctx: Ctx) -> None: ...


@pytest.mark.parametrize(
    ("fn", "value", "text"),
    [
        (whole_dataclass, Plain("o"), '{"org":"o","since":null,"sizes":[]}'),
        (whole_struct, Struct("o"), '{"orgName":"o","size":1}'),
        (whole_attrs, Attrs("o"), '{"org":"o","size":1}'),
        (whole_model, Model(org="o"), '{"org":"o","size":1}'),
        (whole_typed, {"org": "o", "size": 2}, '{"org":"o","size":2}'),
        (whole_dict, {"a": 1}, '{"a":1}'),
        (whole_mapping, {"a": 1}, '{"a":1}'),
        (whole_any, [1, "x"], '[1,"x"]'),
        (whole_optional, None, "null"),
        (whole_annotated, Plain("o"), '{"org":"o","since":null,"sizes":[]}'),
        (whole_with_context, Plain("o"), '{"org":"o","since":null,"sizes":[]}'),
    ],
)
def test_a_lone_object_is_the_payload(fn: Callable[..., Any], value: Any, text: str) -> None:
    assert codec(fn).encode((value,), {}) == text
    assert journey(fn, value) == {"p": value}


def test_a_lone_parameter_named_payload_is_the_payload_whatever_its_type() -> None:
    def bare(payload): ...  # type: ignore[no-untyped-def]
    def number(payload: int) -> None: ...

    assert journey(bare, [1, None]) == {"payload": [1, None]}
    assert journey(number, 3) == {"payload": 3}


def test_other_lone_parameters_are_a_key() -> None:
    def many(rows: list[Plain]) -> None: ...
    def bare(value): ...  # type: ignore[no-untyped-def]
    def either(value: Plain | int) -> None: ...

    assert codec(many).encode(([],), {}) == '{"rows":[]}'
    assert codec(bare).encode((1,), {}) == '{"value":1}'
    assert codec(either).encode((1,), {}) == '{"value":1}'


def test_a_lone_object_with_a_default_may_be_absent() -> None:
    def sync(p: Plain = Plain("all")) -> None: ...  # noqa: B008 - never changed

    assert journey(sync) == {"p": Plain("all")}
    assert arguments(sync, "null") == {"p": Plain("all")}
    assert arguments(sync, "") == {"p": Plain("all")}


def test_a_models_own_rules_are_asked() -> None:
    with pytest.raises(PayloadError, match="greater than or equal to 0"):
        arguments(whole_model, '{"org":"o","size":-1}')


def test_models_inside_other_types_are_read_and_written() -> None:
    def share(owner: Model, others: list[Model]) -> None: ...

    assert journey(share, Model(org="a"), [Model(org="b", size=2)]) == {
        "owner": Model(org="a"),
        "others": [Model(org="b", size=2)],
    }


# ---- no parameters, other encodings --------------------------------------------------------------------


@pytest.mark.parametrize(("payload", "kind"), [("", JSON), ("null", JSON), ('{"a":1}', JSON), ("x", TEXT)])
def test_a_task_without_parameters_takes_no_notice_of_its_payload(payload: str, kind: str) -> None:
    def nightly() -> None: ...

    assert arguments(nightly, payload, kind) == {}


def test_text_is_a_string() -> None:
    def note(payload: str) -> None: ...

    assert arguments(note, "hello, world", TEXT) == {"payload": "hello, world"}
    with pytest.raises(PayloadError, match="Expected an object"):
        arguments(resize, "hello", TEXT)


def test_superjson_brings_back_what_javascript_sent() -> None:
    def take(when: datetime, big: int, tags: set[str], prices: dict[str, int], gone: int = 7) -> None: ...

    text = (
        '{"json":{"when":"2030-01-01T00:00:00.000Z","big":"12345678901234567890","tags":["a","a"],'
        '"prices":[["x",1]],"gone":null},"meta":{"values":{"when":["Date"],"big":["bigint"],'
        '"tags":["set"],"prices":["map"],"gone":["undefined"]}}}'
    )
    assert arguments(take, text, SUPERJSON) == {
        "when": datetime(2030, 1, 1, tzinfo=UTC),
        "big": 12345678901234567890,
        "tags": {"a"},
        "prices": {"x": 1},
        "gone": 7,
    }


def test_a_javascript_date_may_be_taken_as_text() -> None:
    def take(when: str) -> None: ...

    text = '{"json":{"when":"2030-01-01T00:00:00.000Z"},"meta":{"values":{"when":["Date"]}}}'
    assert arguments(take, text, SUPERJSON) == {"when": "2030-01-01T00:00:00.000Z"}


# ---- definition ----------------------------------------------------------------------------------------


def test_star_args_are_refused() -> None:
    def many(*urls: str) -> None: ...

    with pytest.raises(DefinitionError, match=r"\*urls has no names to send; take a list instead"):
        codec(many)


def test_generators_are_refused() -> None:
    def rows():  # type: ignore[no-untyped-def]
        yield 1

    with pytest.raises(DefinitionError, match="is a generator"):
        codec(rows)


def test_a_context_by_keyword_only_is_refused() -> None:
    def late(url: str, *, ctx: Ctx) -> None: ...

    with pytest.raises(DefinitionError, match="write ctx as the first parameter"):
        codec(late)


def test_two_contexts_are_refused() -> None:
    def twice(a: Ctx, b: Ctx) -> None: ...

    with pytest.raises(DefinitionError, match="asks for the context twice"):
        codec(twice)


def test_an_annotation_that_cannot_be_resolved_is_named() -> None:
    def wrong(x: "Missing") -> None: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(DefinitionError, match="name 'Missing' is not defined"):
        codec(wrong)


def test_a_type_that_json_has_no_words_for_is_named() -> None:
    def wrong(x: complex) -> None: ...
    def mixed(x: Path | int) -> None: ...

    with pytest.raises(DefinitionError, match="type `complex` cannot be read from JSON"):
        codec(wrong).schema()
    with pytest.raises(DefinitionError, match="unions containing a custom type"):
        codec(mixed)


# ---- schema --------------------------------------------------------------------------------------------


def test_the_schema_names_types_and_defaults() -> None:
    assert codec(resize).schema() == {
        "title": "resize",
        "type": "object",
        "properties": {
            "url": {"type": "string"},
            "width": {"type": "integer", "default": 100},
            "colour": {"$ref": "#/$defs/Colour", "default": "red"},
        },
        "required": ["url"],
        "additionalProperties": False,
        "$defs": {"Colour": {"title": "Colour", "enum": ["blue", "red"]}},
    }


def test_the_schema_of_a_lone_object_is_that_object() -> None:
    schema = codec(whole_dataclass).schema()
    assert (schema["title"], schema["required"]) == ("Plain", ["org"])
    assert "$defs" not in schema


def test_the_schema_of_a_model_is_its_own() -> None:
    assert codec(whole_model).schema() == Model.model_json_schema()


def test_definitions_of_models_are_found_from_the_root() -> None:
    def share(nested: Nested, also: Model) -> None: ...

    schema = codec(share).schema()
    assert set(schema["$defs"]) >= {"Model"}
    text = msgspec.json.encode(schema).decode()
    for reference in {part.split('"')[0] for part in text.split('"#/$defs/')[1:]}:
        assert reference in schema["$defs"]


def test_a_schema_with_extra_keywords_allows_other_keys() -> None:
    def tag(name: str, **counts: int) -> None: ...

    assert "additionalProperties" not in codec(tag).schema()


def test_anything_goes_where_anything_is_said() -> None:
    def take(value: object, items: list[object]) -> None: ...

    assert journey(take, {"a": 1}, [1, "x"]) == {"value": {"a": 1}, "items": [1, "x"]}
    assert codec(take).schema()["required"] == ["value", "items"]


# ---- properties ----------------------------------------------------------------------------------------

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_every_json_value_survives_the_journey(value: Any) -> None:
    assert journey(whole_any, value) == {"p": value}


@given(st.text(), st.integers(-(2**62), 2**62), st.sampled_from(Colour))
def test_every_call_survives_the_journey(url: str, width: int, colour: Colour) -> None:
    assert journey(resize, url, width, colour=colour) == {"url": url, "width": width, "colour": colour}


@given(st.text(max_size=60), st.sampled_from([JSON, SUPERJSON, TEXT]))
def test_no_payload_raises_anything_but_a_payload_error(payload: str, kind: str) -> None:
    try:
        arguments(resize, payload, kind)
    except PayloadError as error:
        assert str(error).startswith("resize: ")
