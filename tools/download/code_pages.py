"""Code pages that texts and names have where they are not UTF-8, and how plausible a reading is."""

import re
from collections.abc import Sequence

# Encodings by Python's names, and the names that people know. Everyday Korean is also everyday
# Chinese in GBK, but next to no Chinese text is Korean.
CODE_PAGES = {
    "cp949": "EUC-KR",
    "gb18030": "GBK",
    "cp932": "Shift-JIS",
    "big5": "Big5",
    "cp1251": "Windows-1251 (Cyrillic)",
    "cp1252": "Windows-1252 (Western)",
    "cp866": "cp866 (Cyrillic DOS)",
    "cp850": "cp850 (Western DOS)",
    "cp437": "cp437 (DOS)",
}
_CYRILLIC = re.compile(r"(?<![А-Яа-яЁё])(?:[А-ЯЁ]?[а-яё]+|[А-ЯЁ]+)(?![А-Яа-яЁё])")
# Western texts have few signs beside ASCII, mostly one at a time.
_WESTERN_SIGNS = (
    "ÀÁÂÃÄÅÆÇÈÉÊËÍÎÑÓÔÕÖØÚÜßàáâãäåæçèéêëìíîïñòóôõöøùúûüýÿœŒ"
    "°²³µ±×½·\u2013—…\u2018\u2019“”„€£§©®«»¿¡ºª"
)
_LATIN = re.compile(rf"(?<![^\x00-\x7f])[{_WESTERN_SIGNS}]{{1,2}}(?![^\x00-\x7f])")
_HANGUL = re.compile("[가-힣]+")
_IDEOGRAPHS = re.compile("[一-龥]+")
_JAPANESE = re.compile("[ぁ-んァ-ー一-龥々]+")
# The signs of each script that everyday texts have; rarer ones speak for a wrong reading.
_USUAL = {
    "gb18030": (_IDEOGRAPHS, "gb2312", b"\xb0\xa1", b"\xd7\xfe"),
    "cp932": (_JAPANESE, "cp932", b"\x81\x40", b"\x98\x73"),
    "cp949": (_HANGUL, "euc_kr", b"\xb0\xa1", b"\xc8\xfe"),
    "big5": (_IDEOGRAPHS, "big5", b"\xa4\x40", b"\xc6\x7f"),
}
_ALPHABETS = {
    "cp1251": _CYRILLIC,
    "cp866": _CYRILLIC,
    "cp1252": _LATIN,
    "cp850": _LATIN,
    "cp437": _LATIN,
}


def readings(texts: Sequence[bytes]) -> dict[str, list[str]]:
    """The texts in each of CODE_PAGES that has a meaning for all their bytes, the most plausible
    encoding first."""
    decoded = {}
    for encoding in CODE_PAGES:
        try:
            decoded[encoding] = [text.decode(encoding) for text in texts]
        except UnicodeDecodeError:
            continue
    ranked = sorted(
        decoded, key=lambda encoding: -plausibility("\n".join(decoded[encoding]), encoding)
    )
    return {encoding: decoded[encoding] for encoding in ranked}


def plausibility(text: str, encoding: str) -> float:
    """Share of the signs beside ASCII that everyday texts of this encoding have, 0 to 1."""
    count = sum(not sign.isascii() for sign in text)
    if not count:
        return 1.0
    if encoding in _ALPHABETS:
        return sum(map(len, _ALPHABETS[encoding].findall(text))) / count
    script, codec, first, last = _USUAL[encoding]
    signs = "".join(script.findall(text))
    usual = (sign.encode(codec, "ignore") for sign in signs)
    return sum(first <= sign <= last for sign in usual) / count
