"""Where a syntax error is."""

from headwater.sql.syntax import syntax_error


def test_the_line_position_and_caret() -> None:
    error = syntax_error("a\nbc d\ne", 5, "d", ": extra input 'd'")
    assert str(error) == (
        "[PARSE_SYNTAX_ERROR] Syntax error at or near 'd': extra input 'd'. SQLSTATE: 42601 (line 2, pos 3)"
        "\n\n== SQL ==\na\nbc d\n---^^^\ne\n"
    )


def test_the_end_of_the_text() -> None:
    error = syntax_error("select", None, None)
    assert "near end of input." in str(error)
    assert str(error).endswith("(line 1, pos 6)\n\n== SQL ==\nselect\n------^^^\n")
