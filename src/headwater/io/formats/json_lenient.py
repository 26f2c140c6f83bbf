"""JSON that is not quite JSON: Spark's `allow…` options, by mending the text of a record before it is read.

Single quotes are taken by default, as in Spark; but files whose first record has none are read by the plain scan, which
knows no single quotes, unless `allowSingleQuotes` is given. `NaN` and `Infinity` are always taken.

Invariants: a record that is JSON is never changed; one that is none after mending keeps its text.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from sqlglot import exp

from headwater.errors import unsupported
from headwater.io.formats.base import FormatOptions
from headwater.io.formats.scan import call

_TOKENS = r'(?s)"(?:[^"\\]|\\.)*"|' + r"'(?:[^'\\]|\\.)*'|/\*.*?\*/|//[^\n]*|[^\"'/]+|."
_UNQUOTED_NAME = r"([{,]\s*)([A-Za-z_$][A-Za-z0-9_$]*)(\s*:)"
_LEADING_ZEROS = r"([:\[,\s-])0+([0-9])"
_ODD_ESCAPE = r'(\\["\\/bfnrtu])|\\(.)'
_CONTROLS = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}


@dataclass(frozen=True)
class Leniency:
    """Spark's options by what they allow."""

    single_quotes: bool = True
    unquoted_field_names: bool = False
    comments: bool = False
    numeric_leading_zeros: bool = False
    backslash_escaping_any_character: bool = False
    unquoted_control_chars: bool = False
    asked: bool = False

    @classmethod
    def of(cls, options: FormatOptions) -> Leniency:
        """From reader options."""
        if not options.flag("allowNonNumericNumbers", True):
            raise unsupported("allowNonNumericNumbers=false in JSON", "Read the column as a string and filter it.")
        names = {field.name: "allow" + field.name.replace("_", "") for field in fields(cls) if field.name != "asked"}
        given = {name: options.flag(option, name == "single_quotes") for name, option in names.items()}
        asked = any(options.flag(option) for option in names.values())
        return cls(**given, asked=asked)

    def mended(self, text: exp.Expr) -> exp.Expr:
        """`text`, or its mended form if only that is JSON."""
        if not (self.asked or self.single_quotes):
            return text
        bad: exp.Expr = exp.Not(this=call("json_valid", text.copy()))
        if not self.asked:  # spares all other records the second look
            bad = exp.and_(call("contains", text.copy(), "'"), bad)
        mended = self._rewritten(text)
        whens = [exp.If(this=exp.and_(bad, call("json_valid", mended)), true=mended.copy())]
        return exp.Case(ifs=whens, default=text.copy())

    def _rewritten(self, text: exp.Expr) -> exp.Expr:
        token = exp.to_identifier("token")
        item = exp.column(token.copy())
        whens = [exp.If(this=call("starts_with", item.copy(), '"'), true=self._string(item))]
        if self.single_quotes:
            whens.append(exp.If(this=call("starts_with", item.copy(), "'"), true=self._string(_requoted(item))))
        if self.comments:
            comment = call("regexp_matches", item.copy(), r"^/[/*]")
            whens.append(exp.If(this=comment, true=exp.Literal.string(" ")))
        body = exp.Case(ifs=whens, default=self._outside(item))
        pieces = call("regexp_extract_all", text.copy(), _TOKENS)
        changed = call("list_transform", pieces, exp.Lambda(this=body, expressions=[token]))
        return call("trim", call("array_to_string", changed, ""))

    def _string(self, token: exp.Expr) -> exp.Expr:
        if self.backslash_escaping_any_character:
            token = call("regexp_replace", token.copy(), _ODD_ESCAPE, "\\1\\2", "g")
        for character, escape in _CONTROLS.items() if self.unquoted_control_chars else ():
            token = call("replace", token.copy(), character, escape)
        return token.copy()

    def _outside(self, token: exp.Expr) -> exp.Expr:
        if self.unquoted_field_names:
            token = call("regexp_replace", token.copy(), _UNQUOTED_NAME, '\\1"\\2"\\3', "g")
        if self.numeric_leading_zeros:
            token = call("regexp_replace", token.copy(), _LEADING_ZEROS, "\\1\\2", "g")
        return token.copy()


def _requoted(token: exp.Expr) -> exp.Expr:
    """`'it\\'s'` as `"it's"`."""
    inside = call("replace", call("array_slice", token.copy(), 2, -2), "\\'", "'")
    return call("concat", '"', call("replace", call("replace", inside, '\\"', '"'), '"', '\\"'), '"')
