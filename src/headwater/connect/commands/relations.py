"""Relations kept by the server: checkpoints, and letting them go; the resources of a machine without executors.

Invariant: releasing twice, or after the session has ended, is no error.
"""

from __future__ import annotations

from typing import Any

from headwater.connect.commands.base import Call, handler
from headwater.connect.proto import pb2


@handler("checkpoint_command")
def checkpoint(call: Call, message: Any) -> None:
    """`df.checkpoint`, `df.localCheckpoint`: the rows are computed now if eager, else with each use."""
    relation = call.decoder.relation(message.relation)
    relation_id = call.session.checkpoint(relation) if message.eager else call.session.keep(relation)
    kept = pb2.CachedRemoteRelation(relation_id=relation_id)
    call.answer(checkpoint_command_result=pb2.CheckpointCommandResult(relation=kept))


@handler("remove_cached_remote_relation_command")
def remove_cached(call: Call, message: Any) -> None:
    """The client's DataFrame was garbage collected."""
    call.session.release(message.relation.relation_id)


@handler("get_resources_command")
def get_resources(call: Call, _: Any) -> None:
    """No GPUs or other resources are managed."""
    call.answer(get_resources_command_result=pb2.GetResourcesCommandResult())
