"""Python functions that come with a plan, as cloudpickle.

Invariant: nothing is unpickled here.
"""

from __future__ import annotations

from typing import Any

from headwater.connect.decode.base import Decoder, expression
from headwater.errors import unsupported
from headwater.plan.commands import PythonFunction
from headwater.plan.expressions import PythonUDF


@expression("common_inline_user_defined_function")
def inline_function(decoder: Decoder, message: Any) -> PythonUDF:
    """`udf(f)(column)`."""
    kind = message.WhichOneof("function")
    if kind != "python_udf":
        raise unsupported(f"a {kind} (a function of the JVM)", "Write it in Python.")
    function = message.python_udf
    return PythonUDF(
        message.function_name,
        decoder.expressions(message.arguments),
        decoder.type(function.output_type),
        function.eval_type,
        function.command,
        message.deterministic,
        function.python_ver,
        message.is_distinct,
        tuple(decoder.python_paths()),
    )


def streaming_function(message: Any) -> PythonFunction:
    """The function of `foreach` and `foreachBatch`."""
    if message.WhichOneof("function") != "python_function":
        raise unsupported("foreach with a Scala function", "Write it in Python.")
    function = message.python_function
    return PythonFunction(function.command, function.python_ver, function.eval_type)
