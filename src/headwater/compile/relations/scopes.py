"""Relations that name other relations: WITH tables and the references of subqueries.

Invariants: a common table sees the ones before it and nothing of its user; each use is compiled anew, so two uses
never share column names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from headwater.compile.compiler import Compiler, on
from headwater.compile.frame import Frame
from headwater.plan import relations as plan

Table = Callable[[Compiler], Frame]


@on(plan.CommonTables)
def _common_tables(node: plan.CommonTables, compiler: Compiler) -> Frame:
    kept = compiler.tables
    tables: Mapping[str, Table] = kept
    for name, relation in node.tables:
        tables = {**tables, name.lower(): _table(relation, tables)}
    compiler.tables = tables
    try:
        return compiler.relation(node.body)
    finally:
        compiler.tables = kept


def _table(relation: plan.Relation, tables: Mapping[str, Table]) -> Table:
    def compiled(compiler: Compiler) -> Frame:
        kept, compiler.tables = compiler.tables, tables
        try:
            return compiler.relation(relation)
        finally:
            compiler.tables = kept

    return compiled


@on(plan.WithRelations)
def _with_relations(node: plan.WithRelations, compiler: Compiler) -> Frame:
    references, tables = compiler.references, compiler.tables
    named = {r.alias.lower(): _table(r, tables) for r in node.references if isinstance(r, plan.SubqueryAlias)}
    compiler.references = {**references, **{r.plan_id: r for r in node.references if r.plan_id is not None}}
    compiler.tables = {**tables, **named}
    try:
        return compiler.relation(node.root)
    finally:
        compiler.references, compiler.tables = references, tables
