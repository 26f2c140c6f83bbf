"""Auto Loader: `readStream.format("cloudFiles")`, files that arrive, each read once, with a schema that grows."""

from headwater.sources.base import sources
from headwater.sources.cloud_files.provider import CloudFilesProvider

sources.register("cloudfiles")(CloudFilesProvider())
