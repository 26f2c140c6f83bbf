"""Python functions that come with a plan."""

from __future__ import annotations

import pickle

import pytest
from pyspark.sql import types as t
from pyspark.sql.connect.expressions import CommonInlineUserDefinedFunction, PythonUDF
from pyspark.sql.connect.functions import col

from headwater.connect.decode.base import Decoder
from headwater.connect.decode.functions import streaming_function
from headwater.connect.proto import pb2
from headwater.errors import UnsupportedError
from headwater.plan.expressions import Column
from support.client import offline


def test_a_udf_keeps_its_pickle_type_and_arguments() -> None:
    function = PythonUDF(t.LongType(), 100, lambda x: x, "3.11")
    udf = CommonInlineUserDefinedFunction("twice", function, True, [col("a")._expr])
    node = Decoder().expression(udf.to_plan(offline().client))
    assert (node.name, node.type, node.eval_type, node.python_version) == ("twice", t.LongType(), 100, "3.11")
    assert node.arguments == (Column(("a",)),)
    assert node.deterministic
    assert pickle.loads(node.command)[1] == t.LongType()


def test_functions_of_the_jvm_are_refused() -> None:
    message = pb2.Expression(
        common_inline_user_defined_function=pb2.CommonInlineUserDefinedFunction(java_udf=pb2.JavaUDF(class_name="X"))
    )
    with pytest.raises(UnsupportedError, match="JVM"):
        Decoder().expression(message)


def test_scala_functions_of_streams_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="Scala"):
        streaming_function(pb2.StreamingForeachFunction(scala_function=pb2.ScalarScalaUDF()))
