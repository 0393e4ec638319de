"""Lua patterns, in which Kong's schemas write ``match``, as regular expressions that Python, Go and JavaScript read alike."""

from __future__ import annotations

import re

_CLASSES = {
    "a": "A-Za-z", "c": r"\x00-\x1f\x7f", "d": "0-9", "g": "!-~", "l": "a-z", "p": r"!-/:-@\[-`{-~", "s": r"\t-\r ", "u": "A-Z",
    "w": "A-Za-z0-9", "x": "A-Fa-f0-9", "z": r"\x00",
}  # fmt: skip

_SPECIAL = re.compile(r"[\\^$.|?*+()\[\]{}]")
_SPECIAL_IN_SET = re.compile(r"[\\^\]\[-]")


class BadPattern(Exception):
    """A Lua pattern that is wrong, or that regular expressions cannot say; the message tells which part."""


def regex_of(pattern: str) -> str:
    """A regular expression that matches the same texts.

    Raises:
        BadPattern: the pattern has %b, %f, a back reference or a position capture, or it is malformed.
    """
    return _Translation(pattern).whole()


class _Translation:
    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.open = 0

    def bad(self, what: str) -> BadPattern:
        return BadPattern(f"Lua pattern {self.pattern!r} has {what} at {self.at}")

    def whole(self) -> str:
        out: list[str] = []
        if self.pattern.startswith("^"):
            out.append("^")
            self.at = 1
        while self.at < len(self.pattern):
            out.append(self.item())
        if self.open:
            raise self.bad("a capture that is not closed")
        return "".join(out)

    def item(self) -> str:
        """One item of the pattern: a bracket of a capture, the end, or a character class with its repetition."""
        char = self.pattern[self.at]
        if char == "(":
            if self.pattern.startswith("()", self.at):
                raise self.bad("a position capture, which regular expressions do not have")
            self.at += 1
            self.open += 1
            return "("
        if char == ")":
            if not self.open:
                raise self.bad("a bracket that closes nothing")
            self.at += 1
            self.open -= 1
            return ")"
        if char == "$" and self.at == len(self.pattern) - 1:
            self.at += 1
            return "$"
        return self.single() + self.repetition()

    def repetition(self) -> str:
        char = self.pattern[self.at : self.at + 1]
        if char in ("*", "+", "?"):
            self.at += 1
            return char
        if char == "-":
            self.at += 1
            return "*?"
        return ""

    def single(self) -> str:
        """What stands for one character."""
        char = self.pattern[self.at]
        if char == ".":
            self.at += 1
            return r"[\s\S]"
        if char == "[":
            return self.set()
        if char == "%":
            letter = self.escaped()
            if letter.lower() in _CLASSES and letter.isalpha():
                return f"[{'^' if letter.isupper() else ''}{_CLASSES[letter.lower()]}]"
            return _literal(letter)
        self.at += 1
        return _literal(char)

    def escaped(self) -> str:
        """The character behind a percent sign."""
        letter = self.pattern[self.at + 1 : self.at + 2]
        if not letter:
            raise self.bad("a percent sign at its end")
        if letter == "b":
            raise self.bad("%b, which regular expressions do not have")
        if letter == "f":
            raise self.bad("%f, which regular expressions do not have")
        if letter.isdigit():
            raise self.bad(f"the back reference %{letter}, which JSON Schema does not allow")
        if letter.isalpha() and letter.lower() not in _CLASSES:
            raise self.bad(f"the unknown class %{letter}")
        self.at += 2
        return letter

    def set(self) -> str:
        begin = self.at
        self.at += 1
        out = "["
        if self.pattern.startswith("^", self.at):
            out += "^"
            self.at += 1
        first = True
        while first or not self.pattern.startswith("]", self.at):
            first = False
            if self.at >= len(self.pattern):
                self.at = begin
                raise self.bad("a set that is not closed")
            if self.pattern[self.at] == "%":
                out += self.class_in_set()
                continue
            low = self.pattern[self.at]
            if self.pattern[self.at + 1 : self.at + 2] == "-" and self.pattern[self.at + 2 : self.at + 3] not in ("", "]"):
                high = self.pattern[self.at + 2]
                if high < low:
                    raise self.bad(f"the empty range {low}-{high}")
                out += f"{_in_set(low)}-{_in_set(high)}"
                self.at += 3
            else:
                out += _in_set(low)
                self.at += 1
        self.at += 1
        return out + "]"

    def class_in_set(self) -> str:
        letter = self.escaped()
        if letter.isupper() and letter.isalpha():
            self.at -= 2
            raise self.bad(f"%{letter} inside a set; write the set without it")
        return _CLASSES[letter] if letter.isalpha() else _in_set(letter)


def _literal(char: str) -> str:
    return "\\" + char if _SPECIAL.match(char) else char


def _in_set(char: str) -> str:
    return "\\" + char if _SPECIAL_IN_SET.match(char) else char
