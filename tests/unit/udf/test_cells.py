"""Cells: loaded once, expired ones unseen, each change given once."""

from __future__ import annotations

from headwater.udf.cells import Cell, Cells

NOW = 100


def loaded(*rows: tuple[int, object, Cell]) -> Cells:
    cells = Cells(NOW)
    cells.begin(lambda: rows)
    return cells


def test_cells_are_loaded_when_the_first_is_asked_for() -> None:
    loads = []
    cells = Cells(NOW)
    cells.begin(lambda: loads.append(1) or [(1, (), Cell((5,)))])

    assert not loads
    assert cells.of(1) == {(): Cell((5,))}
    assert cells.of(2) == {}
    assert len(loads) == 1


def test_what_has_expired_is_not_seen() -> None:
    cells = loaded((1, 0, Cell((1,), NOW)), (1, 1, Cell((2,), NOW + 1)), (1, 2, Cell((3,))))

    assert list(cells.of(1)) == [1, 2]


def test_a_change_is_given_once_as_it_is_at_last() -> None:
    cells = loaded((1, "old", Cell((1,))))

    cells.put(2, "new", Cell((2,)))
    cells.put(2, "new", Cell((3,)))
    assert cells.remove(1, "old")
    assert not cells.remove(1, "old")

    assert sorted(cells.taken()) == [(1, "old", Cell((1,)), True), (2, "new", Cell((3,)), False)]
    assert list(cells.taken()) == []


def test_a_removed_cell_that_is_set_again_is_there() -> None:
    cells = loaded((1, "k", Cell((1,))))

    assert cells.clear(1) == 1
    cells.put(1, "k", Cell((2,)))

    assert list(cells.taken()) == [(1, "k", Cell((2,)), False)]
    assert list(cells.all()) == [(1, "k")]
