"""Stub of the SampleData module: sources are registered by category, copied to the cache, verified and loaded.

Only local files are fetched; there is no network access.
"""

from __future__ import annotations

import hashlib
import shutil
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname


@dataclass
class Source:
    """SampleDataSource: one data set. Each list has one entry per file."""

    sampleName: str
    uris: list[str]
    fileNames: list[str]
    nodeNames: list[str]
    checksums: list[str]
    thumbnailFileName: str | None = None
    customDownloader: Any = None
    loadFileProperties: dict[str, Any] = field(default_factory=dict)


def sampleDataModule(slicer: types.ModuleType) -> types.ModuleType:
    """The module `SampleData`."""
    slicer.modules.sampleDataSources = {}

    class SampleDataLogic:
        @staticmethod
        def registerCustomSampleDataSource(
            category: str = "Custom", sampleName: Any = None, uris: Any = None, fileNames: Any = None, nodeNames: Any = None,
            customDownloader: Any = None, thumbnailFileName: Any = None, loadFileTypes: Any = None, loadFiles: Any = None,
            loadFileProperties: Any = None, checksums: Any = None, loadFileType: Any = None,
        ) -> None:  # fmt: skip
            lists = [value if isinstance(value, list) else [value] for value in (uris, fileNames, nodeNames, checksums)]
            if uris is None or len({len(values) for values in lists}) > 1:
                raise ValueError(f"All fields of sample data source must have the same length, {lists}")
            source = Source(sampleName, *lists, thumbnailFileName, customDownloader, loadFileProperties or {})
            known = slicer.modules.sampleDataSources.setdefault(category, [])
            if source not in known:
                known.append(source)

        def sourceForSampleName(self, sampleName: str) -> Source | None:
            every = [source for sources in slicer.modules.sampleDataSources.values() for source in sources]
            return next((source for source in every if source.sampleName == sampleName), None)

        def downloadFromSource(self, source: Source) -> list[Any]:
            folder = Path(slicer.mrmlScene.GetCacheManager().GetRemoteCacheDirectory())
            nodes = []
            for uri, name, nodeName, checksum in zip(
                source.uris, source.fileNames, source.nodeNames, source.checksums, strict=True
            ):
                path = folder / name
                if not path.exists() or digest(path) != checksum:
                    shutil.copyfile(localPath(uri), path)
                if digest(path) != checksum:
                    path.unlink()
                    raise ValueError(f"Checksum verification failed for {uri}")
                node = slicer.util.loadVolume(str(path), {**source.loadFileProperties, "name": nodeName})
                slicer.mrmlScene.RemoveNode(node.GetStorageNode())  # it was read from the cache
                nodes.append(node)
            return nodes

        def downloadSamples(self, sampleName: str) -> list[Any]:
            source = self.sourceForSampleName(sampleName)
            return self.downloadFromSource(source) if source else []

        def downloadSample(self, sampleName: str) -> Any:
            return self.downloadSamples(sampleName)[0]

    module = types.ModuleType("SampleData")
    module.SampleDataLogic = SampleDataLogic
    module.SampleDataSource = Source
    module.downloadSample = lambda name: SampleDataLogic().downloadSample(name)
    module.downloadSamples = lambda name: SampleDataLogic().downloadSamples(name)
    return module


def localPath(uri: str) -> str:
    parts = urlparse(uri)
    if parts.scheme != "file":
        raise ValueError(f"this harness fetches files of this machine only, not {uri}")
    return url2pathname(parts.path)


def digest(path: Path) -> str:
    """Return algorithm and digest in SampleData's format."""
    return f"SHA256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
