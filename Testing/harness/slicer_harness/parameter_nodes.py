"""Stub of slicer.parameterNodeWrapper: typed attributes stored in a real MRML parameter node and bound to widgets.

Only the types and widgets listed in the documentation are supported; anything else is refused when the class is created
or bound, as in Slicer.
"""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass
class WithinRange:
    minimum: float
    maximum: float

    def check(self, value: Any) -> None:
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"Value must be within {self.minimum} and {self.maximum}, is {value}")


@dataclass
class Minimum:
    minimum: float

    def check(self, value: Any) -> None:
        if value < self.minimum:
            raise ValueError(f"Value must be at least {self.minimum}, is {value}")


@dataclass
class Maximum:
    maximum: float

    def check(self, value: Any) -> None:
        if value > self.maximum:
            raise ValueError(f"Value must be at most {self.maximum}, is {value}")


@dataclass
class Choice:
    choices: Any

    def check(self, value: Any) -> None:
        if value not in self.choices:
            raise ValueError(f"Value must be one of {self.choices}, is {value!r}")


@dataclass
class Default:
    value: Any


VALIDATORS = (WithinRange, Minimum, Maximum, Choice)


class Parameter:
    """One typed value in a parameter node."""

    def __init__(self, name: str, hint: Any, default: Any, node_base: type) -> None:
        annotations = getattr(hint, "__metadata__", ())
        self.name, self.kind = name, typing.get_args(hint)[0] if annotations else hint
        self.isNode = isinstance(self.kind, type) and issubclass(self.kind, node_base)
        self.isEnum = isinstance(self.kind, type) and issubclass(self.kind, enum.Enum)
        if not (self.isNode or self.isEnum or self.kind in (str, int, float, bool)):
            raise TypeError(f"Unable to create serializer for member {name} of type {hint}")
        self.validators = [a for a in annotations if isinstance(a, VALIDATORS)]
        given = next((a.value for a in annotations if isinstance(a, Default)), default)
        choice = next((a for a in annotations if isinstance(a, Choice)), None)
        self.default = given if given is not None else self._ownDefault(choice)

    def _ownDefault(self, choice: Choice | None) -> Any:
        if self.isNode:
            return None
        if choice is not None:
            return next(iter(choice.choices))
        return next(iter(self.kind)) if self.isEnum else self.kind()

    def isIn(self, node: Any) -> bool:
        return self.isNode or bool(node.GetParameter(self.name))

    def read(self, node: Any) -> Any:
        if self.isNode:
            return node.GetNodeReference(self.name)
        text = node.GetParameter(self.name)
        if not text:
            return self.default
        if self.isEnum:
            return self.kind[text]
        if self.kind is bool:
            return text == "True"
        return text[1:] if self.kind is str else self.kind(text)

    def write(self, node: Any, value: Any) -> None:
        if self.isNode:
            if value is not None and not isinstance(value, (self.kind, str)):
                raise TypeError(f"{self.name} takes a {self.kind.__name__}, not {type(value).__name__}")
            node.SetNodeReferenceID(self.name, value if isinstance(value, str) else value.GetID() if value else None)
            return
        allowed = (int, float) if self.kind is float else self.kind
        if not isinstance(value, allowed) or (self.kind is int and isinstance(value, bool)):
            raise TypeError(f"{self.name} takes a {self.kind.__name__}, not {value!r}")
        for validator in self.validators:
            validator.check(value)
        text = value.name if self.isEnum else f"'{value}" if self.kind is str else repr(value)
        node.SetParameter(self.name, text)  # a mark before texts: an empty one is a value too


def parameterNodeWrapper(slicer: types.ModuleType) -> Callable[[type], type]:
    """The class decorator."""

    def wrap(cls: type) -> type:
        hints = typing.get_type_hints(cls, include_extras=True)
        parameters = {
            name: Parameter(name, hint, getattr(cls, name, None), slicer.vtkMRMLNode) for name, hint in hints.items()
        }
        body: dict[str, Any] = {name: attribute(parameter) for name, parameter in parameters.items()}
        for name in Wrapper.__dict__:
            if name in hints:
                raise ValueError(f"Cannot use reserved name '{name}' in a parameterNodeWrapper")
        body |= {"allParameters": parameters, "slicer": slicer, "__doc__": cls.__doc__, "__module__": cls.__module__}
        own = {name: value for name, value in vars(cls).items() if callable(value) and not name.startswith("__")}
        return type(cls.__name__, (Wrapper,), own | body)

    return wrap


def attribute(parameter: Parameter) -> property:
    return property(
        lambda self: parameter.read(self.parameterNode), lambda self, value: parameter.write(self.parameterNode, value)
    )


class Wrapper:
    """The class that the decorator returns."""

    allParameters: dict[str, Parameter]
    slicer: types.ModuleType

    def __init__(self, parameterNode: Any) -> None:
        self.parameterNode = parameterNode
        self.bindings: dict[int, tuple[list[Any], int]] = {}
        self.writing, self.nextTag = False, 0
        for parameter in self.allParameters.values():
            if not parameter.isIn(parameterNode):
                parameter.write(parameterNode, parameter.default)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in (*self.allParameters, "parameterNode", "bindings", "writing", "nextTag"):
            raise AttributeError(f"{type(self).__name__} has no parameter {name!r}")
        object.__setattr__(self, name, value)

    def getValue(self, name: str) -> Any:
        return getattr(self, self.allParameters[name].name)

    def setValue(self, name: str, value: Any) -> None:
        setattr(self, self.allParameters[name].name, value)

    def connectGui(self, gui: Any) -> int:
        """Bind every widget that names a parameter in its property SlicerParameterName."""
        named = {w.property("SlicerParameterName"): w for w in vars(gui).values() if w.property("SlicerParameterName")}
        return self.connectParametersToGui(named)

    def connectParametersToGui(self, mapping: dict[str, Any]) -> int:
        for name in mapping:
            if name not in self.allParameters:
                raise ValueError(f"Cannot find a param with the given name: {name}")
        connectors = [connector(self, self.allParameters[name], widget) for name, widget in mapping.items()]
        tag, self.nextTag = self.nextTag, self.nextTag + 1
        for one in connectors:
            one.show()
            one.listen()
        observer = self.parameterNode.AddObserver("ModifiedEvent", lambda *_: self.showAll(connectors))
        self.bindings[tag] = (connectors, observer)
        return tag

    def showAll(self, connectors: list[Any]) -> None:
        if self.writing:
            return
        self.writing = True
        try:
            for one in connectors:
                one.show()
        finally:
            self.writing = False

    def disconnectGui(self, tag: int | None) -> None:
        if tag in self.bindings:
            connectors, observer = self.bindings.pop(tag)
            for one in connectors:
                one.forget()
            self.parameterNode.RemoveObserver(observer)

    def StartModify(self) -> int:
        return self.parameterNode.StartModify()

    def EndModify(self, before: int) -> int:
        return self.parameterNode.EndModify(before)

    def AddObserver(self, event: Any, callback: Any, priority: float = 0.0) -> int:
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag: int) -> None:
        self.parameterNode.RemoveObserver(tag)

    def Modified(self) -> None:
        self.parameterNode.Modified()


@dataclass
class Connector:
    """Binds one parameter to one widget."""

    owner: Wrapper
    parameter: Parameter
    widget: Any
    signal: str
    read: Callable[[], Any]
    put: Callable[[Any], None]

    def show(self) -> None:
        self.put(self.parameter.read(self.owner.parameterNode))

    def changed(self) -> None:
        if not self.owner.writing:
            self.parameter.write(self.owner.parameterNode, self.read())

    def listen(self) -> None:
        self.widget.connect(self.signal, self.changed)

    def forget(self) -> None:
        self.widget.disconnect(self.signal, self.changed)


KNOWN = {
    ("QCheckBox", bool): ("toggled(bool)", "checked"),
    ("QSpinBox", int): ("valueChanged(int)", "value"),
    ("QDoubleSpinBox", float): ("valueChanged(double)", "value"),
    ("QLineEdit", str): ("textChanged(QString)", "text"),
}


def connector(owner: Wrapper, parameter: Parameter, widget: Any) -> Connector:
    """Return the connector of a widget's class and a parameter's type; RuntimeError if Slicer has none."""
    className = type(widget).__name__
    if className == "qMRMLNodeComboBox" and parameter.isNode:
        return Connector(
            owner, parameter, widget, "currentNodeIDChanged(QString)", widget.currentNode, widget.setCurrentNode
        )
    if (className, parameter.kind) in KNOWN:
        signal, name = KNOWN[className, parameter.kind]
        bound(widget, parameter)
        return Connector(
            owner, parameter, widget, signal, lambda: getattr(widget, name), lambda value: setattr(widget, name, value)
        )
    raise RuntimeError(f"Unable to create GUI connector from datatype '{parameter.kind}' to widget type '{className}'")


def bound(widget: Any, parameter: Parameter) -> None:
    """Set the range of a number box to that of its parameter; without one, Slicer makes it infinite."""
    if parameter.kind not in (int, float):
        return
    limits = next((v for v in parameter.validators if isinstance(v, WithinRange)), None)
    infinite = 2**31 - 1 if parameter.kind is int else float("inf")
    widget.minimum = limits.minimum if limits else -infinite
    widget.maximum = limits.maximum if limits else infinite
