"""Messages in every shape that practice sends: MIME trees, charsets, encodings, seals, mistakes; made for tests."""

import base64
import binascii
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

SENTENCES = {
    "us-ascii": "Dear patient, your appointment is on Monday.",
    "iso-8859-1": "Größe und Befund: Übelkeit, naïve Déjà-vu.",
    "iso-8859-15": "Kosten: 20 €, Œuvre, Žluťas".replace("ť", "t"),
    "windows-1252": "“Smart quotes” – and a dash, 20 €.",
    "utf-8": "Überweisung 検査 ✓ от врача.",
    "utf-16": "Wide: Übelkeit 検査 ✓.",
    "koi8-r": "Результаты анализов готовы.",
    "windows-1251": "Приём у врача.",
    "shift_jis": "検査結果のお知らせ。",
    "iso-2022-jp": "検査結果のお知らせです。",
    "euc-kr": "검사 결과입니다.",
    "gb2312": "检查结果。",
    "big5": "檢查結果。",
}
PDF = base64.b64encode(bytes(range(256)) * 8)
IMAGE = base64.b64encode(b"\x89PNG" + bytes(range(200)))


@dataclass(frozen=True, slots=True)
class Specimen:
    """A message, and in how many of its plain and HTML parts a disclaimer belongs.

    `loses`: its charset is none, so that letters of a disclaimer may turn into question marks.
    """

    title: str
    octets: bytes
    plain: int = 0
    html: int = 0
    loses: bool = False

    def __str__(self) -> str:
        return self.title


@dataclass(frozen=True, slots=True)
class Entity:
    """A part with its fields, and how many places for a disclaimer it has."""

    fields: tuple[str, ...]
    body: bytes
    plain: int = 0
    html: int = 0

    @property
    def octets(self) -> bytes:
        return "".join(f"{field}\r\n" for field in self.fields).encode() + b"\r\n" + self.body


def encoded(octets: bytes, encoding: str) -> bytes:
    if encoding == "base64":
        lines = binascii.b2a_base64(octets, newline=False)
        return b"\r\n".join(lines[at : at + 76] for at in range(0, len(lines), 76)) + b"\r\n"
    if encoding == "quoted-printable":
        return binascii.b2a_qp(octets.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
    return octets


def text(charset: str = "utf-8", encoding: str = "8bit", more: str = "", sentence: str | None = None) -> Entity:
    said = f"{sentence or SENTENCES[charset]}\r\n\r\n-- \r\nClinic\r\n"
    fields = (f'Content-Type: text/plain; charset="{charset}"{more}', f"Content-Transfer-Encoding: {encoding}")
    return Entity(fields, encoded(said.encode(charset), encoding), plain=1)


def html(charset: str = "utf-8", encoding: str = "quoted-printable", tail: str = "</body>\r\n</html>\r\n") -> Entity:
    said = f"<html><head><title>x</title></head>\r\n<BODY><p>{SENTENCES[charset]}</p>\r\n{tail}"
    fields = (f"content-type: TEXT/HTML;\r\n\tcharset={charset}", f"Content-Transfer-Encoding: {encoding}")
    return Entity(fields, encoded(said.encode(charset), encoding), html=1)


def file(kind: str = "application/pdf", name: str = "scan.pdf", body: bytes = PDF) -> Entity:
    fields = (f'Content-Type: {kind}; name="{name}"', "Content-Transfer-Encoding: base64")
    return Entity((*fields, f'Content-Disposition: attachment; filename="{name}"'), body + b"\r\n")


def image() -> Entity:
    return Entity(
        ("Content-Type: image/png", "Content-ID: <i@x>", "Content-Transfer-Encoding: base64"), IMAGE + b"\r\n"
    )


def calendar() -> Entity:
    body = b"BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nEND:VCALENDAR\r\n"
    return Entity(("Content-Type: text/calendar; method=REQUEST; charset=utf-8",), body)


def multipart(
    kind: str, *parts: Entity, boundary: str = "=_b", more: str = "", plain: int | None = None, html: int | None = None
) -> Entity:
    """`plain` and `html` where not all places of the parts count."""
    middle = b"".join(b"--" + boundary.encode() + b"\r\n" + part.octets + b"\r\n" for part in parts)
    return Entity(
        (f'Content-Type: multipart/{kind}; boundary="{boundary}"{more}',),
        middle + b"--" + boundary.encode() + b"--\r\n",
        sum(part.plain for part in parts) if plain is None else plain,
        sum(part.html for part in parts) if html is None else html,
    )


def message(title: str, entity: Entity, fields: Sequence[str] = (), *, loses: bool = False) -> Specimen:
    head = ["From: Dr Smith <dr@north.test>", "To: <patient@example.test>", f"Subject: {title}", *fields]
    head += ["Message-ID: <1@clinic.test>", "Date: Mon, 02 Mar 2026 09:30:00 +1100", "MIME-Version: 1.0"]
    octets = "".join(f"{field}\r\n" for field in head).encode() + entity.octets
    return Specimen(title, octets, entity.plain, entity.html, loses)


def of_charsets() -> Iterator[Specimen]:
    for charset, sentence in SENTENCES.items():
        encodings = ["base64"] if charset == "utf-16" else ["quoted-printable", "base64", "8bit", "binary"]
        if sentence.encode(charset).isascii():
            encodings.append("7bit")
        for encoding in encodings:
            yield message(f"plain {charset} {encoding}", text(charset, encoding))
            yield message(f"html {charset} {encoding}", html(charset, encoding))


def of_shapes() -> Iterator[Specimen]:
    for charset, encoding in (("utf-8", "8bit"), ("iso-8859-1", "quoted-printable"), ("us-ascii", "7bit")):
        plain, page = text(charset, encoding), html(charset, encoding)
        related = multipart("related", page, image(), boundary="rel")
        both = multipart("alternative", plain, page, boundary="alt")
        rich = multipart("alternative", plain, related, boundary="alt")
        shapes = {
            "alternative": both,
            "alternative with related": rich,
            "related": related,
            "related of alternative": multipart("related", both, image(), boundary="rel2"),
            "mixed": multipart("mixed", plain, file()),
            "mixed of alternative": multipart("mixed", both, file(), file("image/png", "x.png", IMAGE)),
            "mixed of all": multipart("mixed", rich, file(), calendar()),
            "invitation": multipart("alternative", plain, page, calendar(), boundary="alt"),
            "file before the text": multipart("mixed", file(), plain),
            "two texts": multipart("mixed", plain, image(), plain, plain=1),
            "text and an attached text": multipart("mixed", plain, replace(file("text/plain", "a.txt"), plain=0)),
            "text and an inline file": multipart("mixed", plain, named(text(charset, encoding)), plain=1),
            "mail list": multipart("mixed", both, text("us-ascii", "7bit"), plain=1, html=1),
            "apple": multipart("alternative", plain, multipart("mixed", page, file(), page, html=1), boundary="alt"),
            "forwarded": multipart("mixed", plain, forwarded(charset)),
        }
        for name, entity in shapes.items():
            yield message(f"{name} ({charset})", entity)


def named(part: Entity) -> Entity:
    return replace(part, fields=(*part.fields, 'Content-Disposition: inline; filename="notes.txt"'), plain=0, html=0)


def forwarded(charset: str) -> Entity:
    return Entity(("Content-Type: message/rfc822",), message("inner", text(charset)).octets)


def of_seals() -> Iterator[Specimen]:
    signature = Entity(("Content-Type: application/pgp-signature",), b"-----BEGIN PGP SIGNATURE-----\r\n")
    control = Entity(("Content-Type: application/pgp-encrypted",), b"Version: 1\r\n")
    sealed = Entity(("Content-Type: application/octet-stream",), b"-----BEGIN PGP MESSAGE-----\r\n")
    detached = file("application/pkcs7-signature", "smime.p7s")
    signed = multipart(
        "signed", text(), signature, boundary="s", more='; protocol="application/pgp-signature"', plain=0
    )
    yield message("PGP signed", signed)
    yield message("PGP encrypted", multipart("encrypted", control, sealed, boundary="s"))
    yield message("S/MIME signed", multipart("signed", text(), detached, boundary="s", plain=0))
    yield message("S/MIME opaque", file("application/pkcs7-mime", "smime.p7m"))
    yield message("signed within mixed", multipart("mixed", signed, file()))
    inline = "-----BEGIN PGP SIGNED MESSAGE-----\r\nHash: SHA256\r\n\r\nx\r\n-----BEGIN PGP SIGNATURE-----"
    yield message("PGP inline", replace(text(sentence=inline), plain=0))
    report = Entity(("Content-Type: message/delivery-status",), b"Reporting-MTA: dns; x\r\n")
    yield message("report", multipart("report", text(), report, more="; report-type=delivery-status", plain=0))
    yield message("digest", multipart("digest", forwarded("utf-8")))
    yield message("calendar alone", calendar())
    yield message("picture alone", image())
    yield message("text as a file", replace(file("text/plain", "a.txt"), plain=0))


def raw(title: str, octets: str, plain: int = 0, html: int = 0, *, loses: bool = False) -> Specimen:
    """A message written out: what no composer should make."""
    whole = f"From: Dr Smith <dr@north.test>\r\nMessage-ID: <1@x>\r\nDate: x\r\nMIME-Version: 1.0\r\n{octets}"
    return Specimen(title, whole.encode("utf-8", "surrogateescape"), plain, html, loses)


MIXED = 'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
PART = "--b\r\nContent-Type: text/plain\r\n\r\nHello\r\n"


def of_mistakes() -> Iterator[Specimen]:
    yield raw("no MIME fields", "\r\nHello\r\n", 1)
    yield raw("empty", "\r\n", 1)
    yield raw("no body", "")
    yield raw("one line", "\r\nx\r\n", 1)
    yield raw("missing end boundary", f"{MIXED}{PART}", 1)
    yield raw("boundary that never comes", f"{MIXED}--c\r\n\r\nHello\r\n--c--\r\n")
    yield raw("no boundary", "Content-Type: multipart/mixed\r\n\r\n--b\r\n\r\nHello\r\n--b--\r\n")
    yield raw("part without a blank line", f"{MIXED}--b\r\nContent-Type: text/plain\r\n--b--\r\n")
    yield raw(
        "parts without anything",
        f"{MIXED}--b\r\n--b\r\n{PART.removeprefix('--b')}--b--\r\n".replace("b\r\n\r\nC", "b\r\nC"),
        1,
    )
    yield raw("empty part", f"{MIXED}--b\r\n\r\n--b--\r\n", 1)
    yield raw("preamble and epilogue", f"{MIXED}This is MIME.\r\n{PART}--b--\r\nThe end.\r\n", 1)
    yield raw("blanks behind boundaries", f"{MIXED}{PART.replace('--b', '--b  ')}--b-- \t\r\n", 1)
    yield raw(
        "boundary of odd letters",
        f"{MIXED}{PART}--b--\r\n".replace('"b"', '"=_(a+b)?*"').replace("--b", "--=_(a+b)?*"),
        1,
    )
    yield raw(
        "boundary by RFC 2231",
        f"Content-Type: multipart/mixed; boundary*0=b;\r\n boundary*1=c\r\n\r\n{PART}--bc--\r\n".replace(
            "--b\r", "--bc\r"
        ),
        1,
    )
    inner = f"--b\r\n{MIXED.replace(chr(34) + 'b', chr(34) + 'bb')}--bb\r\n\r\nInner\r\n--b--\r\n"
    yield raw("inner one not closed", f"{MIXED}{inner}", 1)
    yield raw("boundary that begins another", f"{MIXED}{inner.replace('Inner', '--bbc')}", 1)
    yield raw(
        "raw letters in the header",
        "Subject: \udce4\udcff\r\nContent-Type: text/plain; charset=x\r\n\r\nx\r\n",
        1,
        loses=True,
    )
    yield raw("huge header", f"X-Huge: {'y' * 200_000}\r\n\r\nHello\r\n", 1)
    yield raw("folds upon folds", "X-Folded:" + "\r\n z" * 2000 + "\r\n\r\nHello\r\n", 1)
    yield raw("unknown charset", "Content-Type: text/plain; charset=x-none\r\n\r\nHello\r\n", 1, loses=True)
    yield raw("no codec but a name", "Content-Type: text/plain; charset=idna\r\n\r\nHello\r\n", 1, loses=True)
    yield raw("unknown encoding", "Content-Transfer-Encoding: x-uuencode\r\n\r\nbegin 644 x\r\n`\r\nend\r\n")
    yield raw("base64 that is none", "Content-Transfer-Encoding: base64\r\n\r\nabc\r\n")
    yield raw("quoted-printable that is none", "Content-Transfer-Encoding: quoted-printable\r\n\r\n=ZZ 100% =\r\n", 1)
    yield raw("8-bit as 7bit", "Content-Type: text/plain; charset=us-ascii\r\n\r\nGr\udcfc\udcdfe\r\n", 1)
    yield raw("UTF-8 as ASCII", "Content-Type: text/plain; charset=us-ascii\r\n\r\nGrüße\r\n", 1)
    yield raw(
        "half a letter",
        "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nx\udcc3\r\n",
        1,
    )
    yield raw("type without slash", "Content-Type: text\r\n\r\nHello\r\n", 1)
    yield raw("type with comment", "Content-Type: text/plain (really); charset=us-ascii (yes)\r\n\r\nHello\r\n", 1)
    yield raw("long line", f"\r\n{'x' * 5000}\r\n", 1)
    yield raw("NUL", "\r\na\0b\r\n", 1)
    yield raw("dots", "\r\n.\r\n..\r\n", 1)
    yield raw("flowed", "Content-Type: text/plain; format=flowed; delsp=yes\r\n\r\nA line \r\ngoes on.\r\n", 1)
    yield raw("html without tags", "Content-Type: text/html\r\n\r\nHello\r\n", 0, 1)
    yield raw("html with two ends", "Content-Type: text/html\r\n\r\n<body>a</body><body>b</body >\r\n", 0, 1)
    yield raw(
        "html end divided",
        "Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<p>a</bo=\r\ndy>\r\n",
        0,
        1,
    )
    yield raw("html in capitals", "CONTENT-TYPE: TEXT/HTML\r\n\r\n<P>X</P></HTML>\r\n", 0, 1)


def corpus() -> list[Specimen]:
    return [*of_charsets(), *of_shapes(), *of_seals(), *of_mistakes()]
