"""CREATE VIEW and `createOrReplaceTempView`: temporary, global temporary and stored views.

Invariants: a view's plan is resolved once when it is made, so a broken view is refused at once; the text of a
stored view is what is kept, not its plan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headwater.catalog import CATALOG, GLOBAL_TEMP, Table, View, quoted
from headwater.errors import AnalysisError, unsupported
from headwater.plan.commands import CreateView
from headwater.plan.relations import ReadTable, Relation, SubqueryAlias, ToDF
from headwater.sessions.commands.base import command
from headwater.sessions.scopes import map_reads, reads

if TYPE_CHECKING:
    from headwater.sessions.session import Session


@command(CreateView)
def create_view(node: CreateView, session: Session) -> None:
    """Store the view. Raises TEMP_TABLE_OR_VIEW_ALREADY_EXISTS, TABLE_OR_VIEW_ALREADY_EXISTS."""
    if node.scope == "stored":
        return _store(node, session)
    plan = ToDF(node.input, node.columns) if node.columns else node.input
    session.resolve(plan)
    name, is_global = _temporary_name(node), node.scope == "global"
    views = session.catalog.global_views if is_global else session.catalog.views
    if node.if_not_exists and name in views:
        return None
    if node.text is None:
        plan = _frozen(plan, session)
    else:
        _refuse_cycle((GLOBAL_TEMP, name) if is_global else (name,), plan, session)
    return session.catalog.add_view(View(name, plan, node.text, is_global), replace=node.replace)


def _temporary_name(node: CreateView) -> str:
    if len(node.name) > 1 and not (node.scope == "global" and node.name[0].lower() == GLOBAL_TEMP):
        raise AnalysisError("TEMP_VIEW_NAME_TOO_MANY_NAME_PARTS", actualName=".".join(node.name))
    return node.name[-1]


def _frozen(plan: Relation, session: Session) -> Relation:
    """The plan of a DataFrame's view: temporary views it reads are what they are now, whatever they become."""

    def freeze(read: ReadTable) -> Relation:
        found = session.catalog.find(read.parts)
        if isinstance(found, View):
            return SubqueryAlias(found.plan, read.parts[-1], plan_id=read.plan_id)
        return read

    return map_reads(plan, freeze)


def _refuse_cycle(name: tuple[str, ...], plan: Relation, session: Session, path: tuple[str, ...] = ()) -> None:
    """A view by text is read anew each time, so it must not come back to itself. Raises RECURSIVE_VIEW."""
    for read in reads(plan):
        parts = tuple(part.lower() for part in read.parts)
        if parts == tuple(part.lower() for part in name):
            cycle = " -> ".join(quoted((each,)) for each in (name[-1], *path, name[-1]))
            raise AnalysisError("RECURSIVE_VIEW", viewIdent=quoted(name), newPath=cycle)
        found = session.catalog.find(read.parts)
        if isinstance(found, View):
            _refuse_cycle(name, found.plan, session, (*path, found.name))


def _store(node: CreateView, session: Session) -> None:
    if node.text is None:
        raise unsupported("storing a view of a DataFrame", "Create it with SQL: CREATE VIEW name AS SELECT …")
    catalog = session.catalog
    schema = session.resolve(ToDF(node.input, node.columns) if node.columns else node.input).schema
    for read in reads(node.input):
        if len(read.parts) == 1 and read.parts[0] in catalog.views:
            raise AnalysisError(
                "INVALID_TEMP_OBJ_REFERENCE",
                obj="VIEW",
                objName=f"`{'.'.join(node.name)}`",
                tempObj="VIEW",
                tempObjName=f"`{read.parts[0]}`",
            )
    database, name = catalog.split(node.name)
    view = Table(
        database,
        name,
        "VIEW",
        schema=schema,
        comment=node.comment,
        view_text=node.text,
        view_database=catalog.current_database,
        view_columns=node.columns,
        created_ms=session.runtime.clock.now_ms(),
    )
    before = catalog.stored(node.name)
    if before is not None and not before.is_view and node.replace:
        raise AnalysisError(
            "WRONG_COMMAND_FOR_OBJECT_TYPE",
            operation="CREATE OR REPLACE VIEW",
            requiredType="VIEW",
            objectName=".".join((CATALOG, database, name)),
            foundType=before.kind,
            alternative="DROP TABLE",
        )
    catalog.add_table(view, replace=node.replace, if_not_exists=node.if_not_exists)
