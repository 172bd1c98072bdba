"""Sequence nodes: their frames, the volumes and browsers that show them, and new ones like them."""

from __future__ import annotations

import slicer

from . import VolumeNodes


def behind(proxy):
    """The sequence whose frames a volume shows; None for any other volume."""
    browser = browserOf(proxy)
    sequence = browser.GetSequenceNode(proxy) if browser is not None else None
    return sequence if sequence is not None and sequence.GetNumberOfDataNodes() > 1 else None


def browserOf(proxy):
    """The sequence browser that shows its frames in a volume; None if there is none."""
    if proxy is None or not hasattr(slicer.modules, "sequences"):  # Slicer can be started without them
        return None
    return slicer.modules.sequences.logic().GetFirstBrowserNodeForProxyNode(proxy)


def framesOf(sequence) -> list:
    """The volumes of a sequence, in order; they lie in a scene of their own."""
    return [sequence.GetNthDataNode(index) for index in range(sequence.GetNumberOfDataNodes())]


def proxyOf(sequence):
    """The volume in which a sequence is shown; None if no browser shows it, or if the node is no sequence."""
    if not isinstance(sequence, slicer.vtkMRMLSequenceNode):
        return None
    browser = slicer.modules.sequences.logic().GetFirstBrowserNodeForSequenceNode(sequence)
    return None if browser is None else browser.GetProxyNode(sequence)


def indexedAs(sequence):
    """A new sequence node, in no scene yet and without frames, with the same kind of index."""
    made = slicer.vtkMRMLSequenceNode()
    made.SetIndexName(sequence.GetIndexName())
    made.SetIndexUnit(sequence.GetIndexUnit())
    made.SetIndexType(sequence.GetIndexType())
    made.SetNumericIndexValueTolerance(sequence.GetNumericIndexValueTolerance())
    return made


def show(made, source) -> None:
    """Let a browser show a new sequence: that of its source, so that both move together, or one of its own."""
    logic = slicer.modules.sequences.logic()
    isThere = bool(slicer.mrmlScene.IsNodePresent(source))
    browser = logic.GetFirstBrowserNodeForSequenceNode(source) if isThere else None
    if browser is None:
        browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", f"{made.GetName()} browser")
        browser.SetAndObserveMasterSequenceNodeID(made.GetID())
    else:
        browser.AddSynchronizedSequenceNode(made)
    logic.UpdateProxyNodesFromSequences(browser)
    proxy = proxyOf(made)
    original = browser.GetProxyNode(source) if isThere else None
    if proxy is not None and original is not None:
        VolumeNodes.dress(proxy, VolumeNodes.appearanceOf(original))
        proxy.SetAndObserveTransformNodeID(original.GetTransformNodeID())
