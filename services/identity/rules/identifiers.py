"""E-mail addresses and usernames: one canonical form of each, by which code and database compare them.

Two texts that mean the same account have the same form, however they are typed: in which case, width or
composition, with a Unicode or a Punycode domain, with white space around or a dot at the end.
"""

import re
import unicodedata

import email_validator
import idna

from services.chassis.errors import InvalidFields

# Names of private networks, such as `corp.local`, are as good as any: whether mail arrives, its server tells.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()

_USERNAME = re.compile(r"[A-Za-z0-9._-]{3,50}")
# Default_Ignorable_Code_Point of Unicode 16.0: what nobody sees, such as soft hyphens, joiners and bidi controls.
_UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# The rows of Unicode's confusables.txt for the characters of a username.
_PROTOTYPES = str.maketrans({"0": "O", "1": "l", "I": "l"})


def canonical_login(login: str) -> str:
    """Return the canonical form of an address or a username that somebody typed, be it one or not."""
    text = _UNSEEN.sub("", unicodedata.normalize("NFKC", login)).strip()
    local, at, domain = text.rpartition("@")
    return f"{_folded(local)}@{_domain_form(domain)}" if at else _folded(text)


def canonical_email(address: str) -> str:
    """Return the canonical form of an address that is to be kept.

    The local part is compared in lower case; dots and `+` in it count. The domain is in its ASCII form (UTS #46).

    Raises:
        InvalidFields: it is no address that a mail server takes, or one that can be mistaken for another: a quoted
            local part, a character that nobody sees, a letter that becomes two in lower case, such as `ß`.
    """
    deliverable_email(address)
    return canonical_login(address)


def deliverable_email(address: str) -> str:
    """Return an address as it is shown and as mail is sent to it: its letters keep their case.

    Raises:
        InvalidFields: see `canonical_email`.
    """
    text = unicodedata.normalize("NFKC", address).strip()
    if _UNSEEN.search(text):
        raise _refused("has a character that nobody sees")
    local, _, domain = text.rpartition("@")
    domain = domain.removesuffix(".")
    try:
        checked = email_validator.validate_email(f"{local}@{domain}", check_deliverability=False, strict=True)
    except email_validator.EmailNotValidError as error:
        raise _refused("must be an e-mail address") from error
    if len(_folded(local)) != len(local):
        raise _refused("has a letter that becomes another one in lower case")
    return f"{local}@{domain}" if domain.isascii() else f"{local}@{checked.ascii_domain}"


def canonical_username(username: str) -> str:
    """Return the canonical form of a username that is to be kept: UTS #39's level ASCII-Only, in lower case.

    Raises:
        InvalidFields: it has another character than letters of ASCII, digits, `.`, `_` and `-`, or too few or many.
    """
    if not is_username(username):
        raise InvalidFields([("username", "must be 3 to 50 letters of a to z, digits, '.', '_' or '-'")])
    return canonical_login(username)


def is_username(text: str) -> bool:
    """Return whether a text may be a username."""
    return _USERNAME.fullmatch(text) is not None


def username_skeleton(username: str) -> str:
    """Return what a username looks like (UTS #39, 4, in lower case): `paypa1`, `paypaI` and `paypal` look alike."""
    # `m` comes last: who may write `olm` may write `OLM`, too, and both are one name.
    return username.translate(_PROTOTYPES).lower().replace("m", "rn")


def _folded(text: str) -> str:
    """Return the text as NFKC_Casefold has it."""
    once = unicodedata.normalize("NFKC", unicodedata.normalize("NFD", text).casefold())
    return _UNSEEN.sub("", unicodedata.normalize("NFKC", once.casefold())).strip()


def _domain_form(domain: str) -> str:
    try:
        return idna.encode(domain, uts46=True, std3_rules=False, transitional=False).decode().removesuffix(".")
    except (idna.IDNAError, UnicodeError):
        return domain.lower().removesuffix(".")


def _refused(why: str) -> InvalidFields:
    return InvalidFields([("email", why)])
