"""Templates: compiled once, escaping everything, each given one typed context and the shell around it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from trigger_lite.protocol.times import iso
from trigger_lite.web.dashboard.assets import Assets
from trigger_lite.web.dashboard.texts import absolute, clock

_TEMPLATES: Final = Path(__file__).parent / "templates"


class View(Protocol):
    """A context that names its own template."""

    template: ClassVar[str]


@dataclass(frozen=True)
class Shell:
    """What surrounds every page.

    `form_token` goes into each form; `environment` is empty where there is none; `theme` is system, light or
    dark; `insecure` warns that the connection can be read by others; `path` is where the page itself lies.
    """

    title: str
    environment: str
    environments: tuple[str, ...]
    section: str
    theme: str
    form_token: str
    is_signed_in: bool
    insecure: bool
    path: str
    version: str


class Pages:
    """Turns views into HTML."""

    def __init__(self, assets: Assets) -> None:
        self._jinja = Environment(
            loader=FileSystemLoader(_TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._jinja.globals.update(asset=assets.url, icon=_icon(assets.url("icons.svg")))
        self._jinja.filters.update(iso=iso, absolute=absolute, clock=clock)

    def page(self, view: View, shell: Shell, *, whole: bool) -> str:
        """Return a whole page, or only its `<main>` when htmx asked for it."""
        layout = "shell.html" if whole else "main.html"
        return self._jinja.get_template(view.template).render(view=view, shell=shell, layout=layout)

    def fragment(self, template: str, view: Any, *, shell: Shell | None = None, swapped: bool = False) -> str:
        """Return a piece of a page; `swapped` marks it to replace the piece of the same id."""
        return self._jinja.get_template(template).render(view=view, shell=shell, swapped=swapped)


def _icon(sprite: str) -> Callable[..., Markup]:
    """Return what templates call to draw a symbol of the sprite."""
    drawn = '<svg class="i"{0} aria-hidden="true"><use href="{1}#{2}"/></svg>'

    @cache
    def icon(name: str, size: int = 0) -> Markup:
        """Draw a symbol, at the size that the style sheet gives unless one is named (in pixels)."""
        sized = Markup(' width="{0}" height="{0}"').format(size) if size else ""
        return Markup(drawn).format(sized, sprite, name)

    return icon
