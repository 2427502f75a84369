"""JSON as a tree that folds, built as escaped HTML; small enough for a page whatever the value."""

from typing import Any, Final

import orjson
from markupsafe import Markup

from trigger_lite.web.dashboard.texts import shown

OPEN_DEPTH: Final = 3
MAX_NODES: Final = 1_000
MAX_DEPTH: Final = 40
_MAX_STRING: Final = 1_000
_NAMELESS: Final = Markup("")


def parse(text: str, kind: str) -> Any:
    """Return the value of a packet: JSON decoded, SuperJSON without its types, anything else as text."""
    if kind not in ("application/json", "application/super+json"):
        return text
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    if kind == "application/super+json" and isinstance(value, dict) and "json" in value:
        return value["json"]
    return value


def render(value: Any) -> Markup:
    """Return nested `<details>`, open down to OPEN_DEPTH; past MAX_NODES it says where the rest is."""
    tree = _Tree()
    return Markup('<div class="json">%s</div>') % tree.value(value, 0)


class _Tree:
    def __init__(self) -> None:
        self._left = MAX_NODES

    def value(self, value: Any, depth: int, name: Markup = _NAMELESS) -> Markup:
        self._left -= 1
        if isinstance(value, dict | list) and value:
            return self._holder(value, depth, name)
        return name + self._plain(value)

    def _plain(self, value: Any) -> Markup:
        if isinstance(value, str):
            return Markup('<span class="j-s">"%s"</span>') % shown(value, _MAX_STRING)
        kind = "j-n" if isinstance(value, int | float) and not isinstance(value, bool) else "j-k"
        return Markup('<span class="%s">%s</span>') % (kind, orjson.dumps(value).decode())

    def _holder(self, value: "dict[str, Any] | list[Any]", depth: int, name: Markup) -> Markup:
        opening, closing = ("{", "}") if isinstance(value, dict) else ("[", "]")
        size = f"{len(value)} {'key' if isinstance(value, dict) else 'item'}{'' if len(value) == 1 else 's'}"
        if depth >= MAX_DEPTH:
            return name + Markup('<span class="muted">%s… %s%s</span>') % (opening, size, closing)
        is_open = Markup(" open") if depth < OPEN_DEPTH else ""
        return Markup(
            '<details%s><summary>%s<span class="j-p">%s</span> <span class="muted j-size">%s</span></summary>'
            '<ul>%s</ul><span class="j-p">%s</span></details>'
        ) % (is_open, name, opening, size, self._items(value, depth), closing)

    def _items(self, value: "dict[str, Any] | list[Any]", depth: int) -> Markup:
        pairs = value.items() if isinstance(value, dict) else ((None, item) for item in value)
        lines = []
        for place, (name, item) in enumerate(pairs):
            if self._left <= 0:
                rest = f"{len(value) - place:,} more; the raw download has all"
                lines.append(Markup('<li class="muted">… %s</li>') % rest)
                break
            label = (
                _NAMELESS if name is None else Markup('<span class="j-name">%s</span>: ') % shown(name, 200)
            )
            lines.append(Markup("<li>%s</li>") % self.value(item, depth + 1, label))
        return Markup("").join(lines)
