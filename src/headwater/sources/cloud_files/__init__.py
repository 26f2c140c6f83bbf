"""Auto Loader: `readStream.format("cloudFiles")`, files that arrive, each read once, with a schema that grows."""

from headwater.sources.base import sources
from headwater.sources.cloud_files.provider import CloudFilesProvider
from headwater.sources.cloud_files.read_files import ReadFilesProvider

sources.register("cloudfiles")(CloudFilesProvider())
sources.register("read_files")(ReadFilesProvider())
