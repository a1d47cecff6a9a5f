"""What a server sent in place of a file, in words."""

import re
import string

# Bytes of a file that are looked at, and those that a message shows.
BEGINNING_BYTES, _SHOWN = 1024, 32
_WEB_PAGE = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<!--.{0,500}?-->\s*)?<(?:!doctype\s+html|html|head|body)\b",
    re.IGNORECASE | re.DOTALL,
)
_TEXT = frozenset(string.printable.encode())


def about_beginning(data: bytes) -> str:
    """A sentence about the first bytes of a wrong file, after a space: how it begins, and whether
    it looks like a web page. Nothing if they are no text."""
    shown = data[:_SHOWN]
    if not shown or not _TEXT.issuperset(shown):
        return ""
    begins = f" It begins with {shown.split(b'>')[0].strip().decode()!r}"
    if not _WEB_PAGE.match(data):
        return f"{begins}."
    return (
        f"{begins}, so it looks like a web page, which a proxy, a login page or a server without "
        f"the file sends: open the URL in a browser to see which, then repeat the command."
    )
