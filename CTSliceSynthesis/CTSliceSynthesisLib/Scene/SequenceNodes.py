"""Sequence nodes: their frames, proxy volumes and browsers, and creating new sequences."""

from __future__ import annotations

import slicer

from . import VolumeNodes


def behind(proxy):
    """Return the sequence whose frames a proxy volume shows; None for any other volume."""
    browser = browserOf(proxy)
    sequence = browser.GetSequenceNode(proxy) if browser is not None else None
    return sequence if sequence is not None and sequence.GetNumberOfDataNodes() > 1 else None


def browserOf(proxy):
    """Return the sequence browser of a proxy volume; None if there is none."""
    if proxy is None or not hasattr(slicer.modules, "sequences"):  # Slicer can be started without the Sequences module
        return None
    return slicer.modules.sequences.logic().GetFirstBrowserNodeForProxyNode(proxy)


def framesOf(sequence) -> list:
    """Return the volumes of a sequence, in order; they belong to the sequence's internal scene."""
    return [sequence.GetNthDataNode(index) for index in range(sequence.GetNumberOfDataNodes())]


def proxyOf(sequence):
    """Return the proxy volume of a sequence; None if no browser shows it, or if the node is not a sequence."""
    if not isinstance(sequence, slicer.vtkMRMLSequenceNode):
        return None
    browser = slicer.modules.sequences.logic().GetFirstBrowserNodeForSequenceNode(sequence)
    return None if browser is None else browser.GetProxyNode(sequence)


def indexedAs(sequence):
    """Create an empty sequence node with the same index type, not yet in a scene."""
    newSequence = slicer.vtkMRMLSequenceNode()
    newSequence.SetIndexName(sequence.GetIndexName())
    newSequence.SetIndexUnit(sequence.GetIndexUnit())
    newSequence.SetIndexType(sequence.GetIndexType())
    newSequence.SetNumericIndexValueTolerance(sequence.GetNumericIndexValueTolerance())
    return newSequence


def show(newSequence, source) -> None:
    """Show a new sequence in its source's browser, so that both play in sync, or in a browser of its own."""
    logic = slicer.modules.sequences.logic()
    isThere = bool(slicer.mrmlScene.IsNodePresent(source))
    browser = logic.GetFirstBrowserNodeForSequenceNode(source) if isThere else None
    if browser is None:
        browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", f"{newSequence.GetName()} browser")
        browser.SetAndObserveMasterSequenceNodeID(newSequence.GetID())
    else:
        browser.AddSynchronizedSequenceNode(newSequence)
    logic.UpdateProxyNodesFromSequences(browser)
    proxy = proxyOf(newSequence)
    original = browser.GetProxyNode(source) if isThere else None
    if proxy is not None and original is not None:
        VolumeNodes.applyAppearance(proxy, VolumeNodes.appearanceOf(original))
        proxy.SetAndObserveTransformNodeID(original.GetTransformNodeID())
