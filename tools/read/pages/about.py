"""What a clipping says of itself: the front matter of a note, the head of a web page.

``title`` (of front matter alone), ``origin`` (an address, or where else it is from), ``date`` and ``tags`` (a list),
each only where it is there. They are the words of the file: nothing of them is followed or carried out.
"""

import re
from typing import Any

_LONGEST, _MOST_TAGS = 2000, 100  # characters of a value; tags of a note
_KEYS = {
    "title": ("title",),
    "origin": ("source", "url", "link", "origin", "source_url"),
    "date": ("date", "published", "created", "clipped", "updated"),
}  # the first that is there counts
_MOST_OF_A_KEY = 3  # words
_TAGS = ("tags", "tag", "keywords")
_NOTHING = ("", "~", "null", "Null", "NULL")  # YAML for no value
_ADDRESS = re.compile(r"https?://\S+")
_HEAD = {
    "origin": ('string(//link[@rel="canonical"]/@href)', 'string(//meta[@property="og:url"]/@content)'),
    "date": ('string(//meta[@property="article:published_time"]/@content)', 'string(//meta[@name="date"]/@content)'),
}


def of_front_matter(block: str) -> dict[str, Any]:
    """What a block of YAML says; ``broken`` where it is none. Obsidian's keys, and those of its Web Clipper."""
    import yaml

    if not block.strip():
        return {}
    try:
        said = yaml.load(block, yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError):
        return {"broken": True}
    if not isinstance(said, dict) or any(len(str(key).split()) > _MOST_OF_A_KEY for key in said):
        return {"broken": True}  # a sentence with a colon in it is YAML as well
    said = {str(key).lower(): value for key, value in said.items()}
    found: dict[str, Any] = {}
    for name, keys in _KEYS.items():
        if value := next((text for key in keys if (text := _spelled(said.get(key)))), ""):
            found[name] = value
    if tags := next((tags for key in _TAGS if (tags := _tags(said.get(key)))), []):
        found["tags"] = tags
    return found


def of_head(tree: Any) -> dict[str, Any]:
    """What the head of a page (lxml) says: its own address, and when it was published."""
    found = {}
    for name, paths in _HEAD.items():
        value = next((text for path in paths if (text := _spelled(str(tree.xpath(path))))), "")
        if value and (name != "origin" or _ADDRESS.fullmatch(value)):
            found[name] = value
    return found


def _spelled(value: Any) -> str:
    """A value of YAML, as its file has it, in one line; empty where it is none that has one, or far too long."""
    if isinstance(value, list) and len(value) == 1:  # as the Web Clipper writes an author or a source
        value = value[0]
    if not isinstance(value, str) or value in _NOTHING:
        return ""
    text = " ".join(value.encode("utf-8", "replace").decode().split())
    return text if len(text) <= _LONGEST else ""


def _tags(value: Any) -> list[str]:
    """Tags as a list, or in one string with commas or blanks between them; without the mark before them."""
    if isinstance(value, str):
        value = value.split(",") if "," in value else value.split()
    told = [_spelled(one).lstrip("#") for one in value[:_MOST_TAGS]] if isinstance(value, list) else []
    return list(dict.fromkeys(filter(None, told)))
