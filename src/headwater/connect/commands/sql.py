"""`spark.sql`: queries are checked now and run later, commands run at once.

Invariant: a query's relation goes back to the client as the client sent it; a command's result goes back as rows, so
that showing it twice does not run it twice.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from headwater.connect.commands.base import Call, handler
from headwater.connect.decode.leaves import sql_arguments
from headwater.connect.proto import pb2
from headwater.errors import SparkError
from headwater.plan.commands import Command
from headwater.plan.node import Node
from headwater.plan.relations import Relation, WithRelations


@handler("sql_command")
def sql_command(call: Call, message: Any) -> None:
    """`SqlCommand`."""
    from headwater.sql import locate, parse_statement

    relation = message.input if message.HasField("input") else _of_old_clients(message)
    references = relation.with_relations.references if relation.HasField("with_relations") else ()
    text = relation.with_relations.root.sql if references else relation.sql
    named, positional = sql_arguments(call.decoder, text)
    statement = parse_statement(text.query, named, positional)
    views = tuple([call.decoder.relation(reference) for reference in references])
    try:
        if isinstance(statement, Relation):
            call.session.resolve(WithRelations(statement, views) if views else statement)
            result = relation
        else:
            result = _run(call, _bind(statement, views) if views else statement)
    except SparkError as error:
        locate(error, text.query)
        raise
    call.answer(sql_command_result=pb2.ExecutePlanResponse.SqlCommandResult(relation=result))


def _bind(command: Command, views: tuple[Relation, ...]) -> Command:
    def bind(node: Node) -> Node:
        return WithRelations(node, views) if isinstance(node, Relation) else node

    return command.map_children(bind)


def _run(call: Call, command: Command) -> Any:
    result = call.session.run(command)
    if result is None:
        return _local(pa.table({}), None)
    execution = call.session.execute(result)
    call.operation.on_cancel(execution.cancel)
    return _local(execution.table(), execution.schema.json())


def _local(table: pa.Table, schema: str | None) -> Any:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return pb2.Relation(local_relation=pb2.LocalRelation(data=sink.getvalue().to_pybytes(), schema=schema))


def _of_old_clients(message: Any) -> Any:
    text = pb2.SQL(query=message.sql, args=message.args, pos_args=message.pos_args)
    for key in message.named_arguments:
        text.named_arguments[key].CopyFrom(message.named_arguments[key])
    text.pos_arguments.extend(message.pos_arguments)
    return pb2.Relation(sql=text)
