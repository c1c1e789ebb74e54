"""What HTML of a submission may hold: one list of tags, attributes and styles, applied by ammonia.

`clean` is what every page gets. `is_clean` says whether something that runs, loads or covers the
page would be lost by it; classes, ids and styles do not count, which are only reduced.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser

import nh3

TAGS = frozenset(
    re.findall(
        r"\w+",
        "a abbr b blockquote br caption center cite code col colgroup dd del details dfn div dl dt "
        "em figcaption figure font h1 h2 h3 h4 h5 h6 hr i img input ins kbd li mark ol p pre q s "
        "samp small span strike strong sub summary sup table tbody td tfoot th thead tr tt u ul "
        "var",
    )
)
ATTRIBUTES = {
    "*": {"align", "class", "dir", "id", "lang", "style", "title", "valign"},
    "a": {"href", "name"},
    "col": {"span"},
    "details": {"open"},
    "font": {"color"},
    "input": {"checked", "disabled"},
    "img": {"alt", "height", "src", "width"},
    "ol": {"start", "type"},
    "table": {"border"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan", "scope"},
}
BOX = {"input": {"type": "checkbox"}}  # in lists of tasks
PICTURE = re.compile(r"data:image/(?:png|jpe?g|gif|webp);base64,[A-Za-z0-9+/]+={0,2}")
LINK = re.compile(r"(?:https?://|mailto:)[^\s\\]+|#[^\s\\]*", re.IGNORECASE)
NEIGHBOUR = re.compile(r"(?!.*\.\.)[\w-][\w./-]*(?:#[\w-]*)?")  # a file beside the notebook
CLASSES = re.compile(r"highlight|anchor-link|dataframe|task-list-item|task-list-item-checkbox")
TOKEN = re.compile(r"[a-z][a-z0-9]{0,2}")  # of highlighted code
STYLES = frozenset(
    re.findall(
        r"[\w-]+",
        "background background-color border border-bottom border-collapse border-left border-right "
        "border-radius border-top caption-side color font-style font-weight height list-style-type "
        "margin max-width min-width overflow-wrap padding table-layout text-align text-decoration "
        "vertical-align white-space",
    )
)
VALUE = re.compile(  # words, colours and small lengths: no address, nothing negative
    r"(?:[a-z][a-z-]*(?![\w(-])|#[0-9a-f]{3,8}|rgba?\([\d.,%\s]+\)"
    r"|(?:\d{1,3}(?:\.\d{0,3})?|\.\d{1,3})(?:em|px|%|pt|rem)?(?![\w.])|\s)+"
)
FRAMES = re.compile(r"<style scoped>\s*\.dataframe tbody[^<]*</style>")  # pandas' own
SHOWN_ONLY = {"class", "disabled", "id", "name", "rel", "style"}


def clean(html: str, prefix: str = "text-") -> str:
    """The HTML without all that runs, loads, or reaches out of its place.

    Its ids, and links to them, get the `prefix`: they never meet those of the page around them.
    """

    def kept(tag: str, name: str, value: str) -> str | None:
        if name in ("id", "name"):
            return f"{prefix}{value}" if tag != "input" else None
        if name == "class":
            return _classes(tag, value)
        if name == "style":
            return _style(value)
        if name == "src":
            return value if PICTURE.fullmatch(value) or NEIGHBOUR.fullmatch(value) else None
        if name == "href":
            if value.startswith("#"):
                return f"#{prefix}{value[1:]}"
            return value if LINK.fullmatch(value) or NEIGHBOUR.fullmatch(value) else None
        return value if len(value) < 1_000 else None

    return nh3.clean(
        html,
        tags=set(TAGS),
        attributes={name: set(values) for name, values in ATTRIBUTES.items()},
        attribute_filter=kept,
        link_rel="noopener noreferrer",
        set_tag_attribute_values=BOX,
        url_schemes={"http", "https", "mailto", "data"},
    )


def _classes(tag: str, value: str) -> str | None:
    known = [
        name
        for name in value.split()
        if CLASSES.fullmatch(name) or (tag == "span" and TOKEN.fullmatch(name))
    ]
    return " ".join(known) or None


def _style(value: str) -> str | None:
    kept = []
    for declaration in value.split(";"):
        name, _, given = declaration.partition(":")
        if name.strip().lower() in STYLES and VALUE.fullmatch(given.strip().lower()):
            kept.append(declaration.strip())
    return ";".join(kept) or None


def is_clean(html: str) -> bool:
    """Whether `clean` would take nothing away that a reader should be told of."""
    html = FRAMES.sub("", html)
    return _outline(html) == _outline(clean(html, prefix=""))


def _outline(html: str) -> list[object]:
    outline = _Outline()
    outline.feed(html)
    outline.close()
    return [*outline.tags, "".join("".join(outline.texts).split())]


class _Outline(HTMLParser):
    """The tags that begin, with their attributes, and all text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[object] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("p", "tbody"):  # which parsers add where they are missing
            said = {(name, value or "") for name, value in attrs if name not in SHOWN_ONLY}
            self.tags.append((tag, sorted(said)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        if "<" in data or ">" in data:  # parsers differ on where such a comment ends
            self.tags.append("comment")

    def handle_decl(self, decl: str) -> None:
        self.tags.append("declaration")

    def handle_pi(self, data: str) -> None:
        self.tags.append("instruction")

    def unknown_decl(self, data: str) -> None:
        self.tags.append("declaration")
