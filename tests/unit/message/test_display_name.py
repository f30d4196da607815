import email.header

import pytest

from relay.message.display_name import name_in, words_for, words_of


@pytest.mark.parametrize(("phrase", "name"), [
    ("Dr Smith", "Dr Smith"),
    ('"Smith, Dr"', "Smith, Dr"),
    (r'"a \"b\" \\c"', r'a "b" \c'),
    ("=?utf-8?q?=C3=85str=C3=B6m?=", "Åström"),
    ("=?UTF-8?B?w4VzdHLDtm0=?= Dr", "Åström Dr"),
    ("=?utf-8?b?w4VzdA?=", "Åst"),
    ("=?utf-8?q?=C3?= =?utf-8?q?=85?=", "Å"),
    ("=?utf-8?q?a?=\t =?utf-8?q?b?=", "ab"),
    ("=?iso-8859-1*de?q?Gr=FC=DFe?=", "Grüße"),
    ("=?x-none?q?a?=", "a"),
    ("=?utf-8?q?a=0D=0ABcc:_x?=", "a Bcc: x"),
    ("=?utf-8?q?a=00b?=", "a b"),
    ('"=?utf-8?q?=C3=85?="', "Å"),
    ("a\u202eb\u2066", "ab"),
    ("a\u2028b\x85c", "a b c"),
    ("  a   b ", "a b"),
    ("\udcc5\udcd6", "ÅÖ"),
    ("x" * 300, "x" * 255),
    ("", ""),
])  # fmt: skip
def test_names_are_read(phrase: str, name: str) -> None:
    assert name_in(phrase) == name


@pytest.mark.parametrize(("name", "words"), [
    ("Dr Smith", [b"Dr", b"Smith"]),
    ("Smith, Dr", [b'"Smith, Dr"']),
    ("dr.smith", [b'"dr.smith"']),
    ('a "b" \\', [rb'"a \"b\" \\"']),
    ("a@b.test", [b'"a@b.test"']),
    ("a good deal of letters =?b", [b"=?utf-8?q?a_good_deal_of_letters_=3D=3Fb?="]),
    ("Åstrom Clinic", [b"=?utf-8?q?=C3=85strom_Clinic?="]),
    ("検査", [b"=?utf-8?b?5qSc5p+7?="]),
    ("", []),
    ("\r\n", []),
])  # fmt: skip
def test_names_are_written(name: str, words: list[bytes]) -> None:
    assert words_for(name) == words


@pytest.mark.parametrize("name", ["ä" * 255, "検査結果 " * 40, "a" * 60 + "✓" * 60, "Dr Åström, Ärztin 😀" * 5])
def test_long_names_are_cut_between_letters(name: str) -> None:
    words = words_for(name)
    assert all(len(word) <= 75 for word in words)
    read = str(email.header.make_header(email.header.decode_header(b" ".join(words).decode())))
    assert read == " ".join(name.split())[:255]


@pytest.mark.parametrize("phrase", [
    "Dr Smith", '"Smith, Dr"', "=?iso-8859-1?q?Gr=FC=DFe?=", "=?utf-8?b?w4U=?= =?utf-8?b?w4U=?=", '"a" b "c d"',
])  # fmt: skip
def test_what_is_right_stays_as_it_is(phrase: str) -> None:
    assert b" ".join(words_of(phrase)).decode() == phrase


@pytest.mark.parametrize("phrase", [
    "Dr. Smith", "a, b", "=?utf-8?q?a=0Ab?=", "=?x-none?q?=FF?=", "Å", "=?utf-8?q?" + "a" * 80 + "?=",
    'a"b"c', "=?utf-8?q?a b?=",
])  # fmt: skip
def test_what_is_not_is_written_anew(phrase: str) -> None:
    assert words_of(phrase) == words_for(name_in(phrase))
