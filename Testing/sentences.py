"""The sentences that the engine and the Slicer side can say when something is wrong, read from the source.

What is filled in when the program runs stands as "…". `python Testing/sentences.py` lists them.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

MODULE = Path(__file__).parents[1] / "CTSliceSynthesis"
ENGINE, LIB = MODULE / "CTSliceSynthesisEngine", MODULE / "CTSliceSynthesisLib"
GAP = "…"
SHORTEST = 20  # characters; anything shorter is no sentence


def text_of(node: ast.AST, texts: Texts) -> str:
    """The text of an expression with gaps; "" where it is no text."""
    if isinstance(node, ast.Constant):
        return re.sub(r"\{[^{}]*\}", GAP, node.value) if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(
            part.value if isinstance(part, ast.Constant) else texts.at(part.value) or GAP for part in node.values
        )
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return text_of(node.left, texts) + (text_of(node.right, texts) or GAP)
    return texts.at(node)


class Texts:
    """Texts of a function's variables.

    Args:
        function: None knows no variables.
    """

    def __init__(self, function: ast.FunctionDef | None = None) -> None:
        self.assigned = [
            (node.lineno, node.targets[0].id, node.value)
            for node in (ast.walk(function) if function else ())
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        ]

    def at(self, node: ast.AST) -> str:
        """The text that a variable was given last before a line; "" for anything else."""
        if not isinstance(node, ast.Name):
            return ""
        values = [(line, value) for line, name, value in self.assigned if name == node.id and line <= node.lineno]
        return text_of(max(values, key=lambda pair: pair[0])[1], self) if values else ""


SAYING = {"problems", "_problems", "_fault"}
"""Functions of the engine that return sentences."""


def engine_sentences() -> dict[str, str]:
    """Sentence of a SynthesisError, or of a function that returns such sentences -> file."""
    found: dict[str, str] = {}
    for path in sorted(ENGINE.rglob("*.py")):
        for function in functions(path):
            texts = Texts(function)
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "SynthesisError":
                    way_out = "." if len(node.args) > 2 else ""  # by name: the sentence ends with it
                    note(found, text_of(node.args[1], texts) + way_out, path)
                if isinstance(node, (ast.Constant, ast.JoinedStr)) and function.name in SAYING:
                    note(found, text_of(node, texts), path)
    return found


def functions(path: Path) -> list[ast.FunctionDef]:
    """The functions of a file, their docstrings removed."""
    found = [
        node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.FunctionDef)
    ]
    for function in found:
        if isinstance(function.body[0], ast.Expr):
            del function.body[0]
    return found


def lib_sentences() -> dict[str, str]:
    """Every sentence in the functions of the Slicer side, panels left out -> file."""
    found: dict[str, str] = {}
    for path in sorted(path for path in LIB.rglob("*.py") if path.parent.name != "Widgets"):
        for function in functions(path):
            inside = {
                id(part) for node in ast.walk(function) if isinstance(node, ast.JoinedStr) for part in node.values
            }
            for node in ast.walk(function):
                if isinstance(node, (ast.Constant, ast.JoinedStr)) and id(node) not in inside:
                    note(found, text_of(node, Texts()), path)
    return found


def note(found: dict[str, str], text: str, path: Path) -> None:
    """Keep what looks like a sentence: it starts with a capital, a quotation or a gap, and ends with a full stop."""
    sentence = " ".join(text.split())
    if len(sentence) >= SHORTEST and re.match(r"[A-Z“…\d]", sentence) and sentence.endswith((".", GAP)):
        found.setdefault(sentence, path.name)


if __name__ == "__main__":
    for sentences in (engine_sentences(), lib_sentences()):
        for sentence, file in sentences.items():
            sys.stdout.write(f"{file}: {sentence}\n")
