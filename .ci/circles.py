#!/usr/bin/env python3
"""Finds circles of imports between the files of a package, and fails on one that is not known.

An edge goes from a file to the file that defines what it names by a path (`use crate::a::B`, `super::C`). Re-exports
are followed to the definition. A module file's re-exports and `mod` lines are no edges: they are a table of contents.
Test modules do not count.

    .ci/circles.py            checks all packages
    .ci/circles.py --edges    prints the imports that make up the circles as well
    .ci/circles.py --record   writes the circles that there are to `.ci/circles.txt`
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KNOWN = ROOT / ".ci" / "circles.txt"
PACKAGES = ["miko-surface", "miko-macros", "miko-rpc", "miko-core", "miko-shared", "miko-http", "miko-bench", "."]

COMMENT = re.compile(r"//[^\n]*")
STRING = re.compile(r'r#"(?:.|\n)*?"#|"(?:\\.|[^"\\])*"')
TESTS = re.compile(r"#\[cfg\(test\)\]\s*mod tests \{(?:.|\n)*\Z")
USE = re.compile(r"\b(pub(?:\([^)]*\))?\s+)?use\s+([^;]+);")
PATH = re.compile(r"\b((?:crate|super|self)(?:::\w+)+)")


def expand(tree, prefix=()):
    """The paths of a use tree, each with the name under which it is imported."""
    tree = tree.strip()
    brace = tree.find("{")
    if brace < 0:
        path, _, alias = tree.partition(" as ")
        parts = prefix + tuple(part.strip() for part in path.split("::"))
        if parts[-1] == "self":
            parts = parts[:-1]
        yield parts, alias.strip() or parts[-1]
        return
    head = tuple(part.strip() for part in tree[:brace].split("::") if part.strip())
    depth, start = 0, brace + 1
    for index in range(brace, len(tree)):
        char = tree[index]
        if char == "{":
            depth += 1
        elif char == "}":
            depth -= 1
        if (char == "," and depth == 1) or depth == 0:
            if tree[start:index].strip():
                yield from expand(tree[start:index], prefix + head)
            start = index + 1
        if depth == 0:
            return


class Package:
    """The files of a package by module path, with what each of them imports."""

    def __init__(self, source):
        self.source = source
        self.modules = {}
        for file in sorted(source.rglob("*.rs")):
            relative = file.relative_to(source).with_suffix("")
            parts = tuple(part for part in relative.parts if part not in ("lib", "main", "mod"))
            text = TESTS.sub("", COMMENT.sub("", STRING.sub('""', file.read_text())))
            self.modules[parts] = (file, text)
        self.imports = {module: self.uses(module) for module in self.modules}

    def uses(self, module):
        """Name -> path of what a file imports."""
        _, text = self.modules[module]
        names = {}
        for _, tree in USE.findall(text):
            for parts, name in expand(tree):
                path = self.absolute(module, parts)
                if path is not None:
                    names[name] = path
        return names

    def absolute(self, module, parts):
        """A path as one from the root of the crate; `None` if it is of another crate."""
        first = parts[0]
        if first == "crate":
            return parts[1:]
        if first == "self":
            return module + parts[1:]
        if first == "super":
            base = module
            while parts and parts[0] == "super":
                base, parts = base[:-1], parts[1:]
            return base + parts
        if module + (first,) in self.modules:
            return module + parts
        return None

    def definition(self, path, seen=()):
        """The module that defines what `path` names, re-exports followed. The root, `()`, is always one."""
        length = next(length for length in range(len(path), -1, -1) if path[:length] in self.modules)
        module, rest = path[:length], path[length:]
        if rest and rest[0] in self.imports[module] and path not in seen:
            target = self.imports[module][rest[0]] + rest[1:]
            if target != path:
                return self.definition(target, (*seen, path))
        return module

    def edges(self, module):
        _, text = self.modules[module]
        paths = [tuple(path.split("::")) for path in PATH.findall(USE.sub("", text))]
        for visibility, tree in USE.findall(text):
            if not visibility:
                paths += [parts for parts, _ in expand(tree)]
        for parts in paths:
            path = self.absolute(module, parts)
            target = module if path is None else self.definition(path)
            if target != module:
                yield target

    def circles(self):
        """Strongly connected components of more than one file, by Tarjan's algorithm."""
        graph = {module: set(self.edges(module)) for module in self.modules}
        index, low, stack, found = {}, {}, [], []

        def visit(node):
            index[node] = low[node] = len(index)
            stack.append(node)
            for target in sorted(graph[node]):
                if target not in index:
                    visit(target)
                    low[node] = min(low[node], low[target])
                elif target in stack:
                    low[node] = min(low[node], index[target])
            if low[node] == index[node]:
                component = set()
                while True:
                    member = stack.pop()
                    component.add(member)
                    if member == node:
                        break
                if len(component) > 1:
                    found.append(component)

        sys.setrecursionlimit(10_000)
        for module in sorted(graph):
            if module not in index:
                visit(module)
        return graph, found


def label(module):
    return "::".join(module) or "lib"


def main():
    lines, details = [], []
    for name in PACKAGES:
        package = Package(ROOT / name / "src")
        graph, circles = package.circles()
        for circle in circles:
            lines.append(f"{name}: " + " ".join(sorted(map(label, circle))))
            for module in sorted(circle):
                for target in sorted(graph[module] & circle):
                    details.append(f"    {label(module)} -> {label(target)}")
    text = "".join(line + "\n" for line in sorted(lines))
    if "--record" in sys.argv:
        KNOWN.write_text(text)
        return 0
    if "--edges" in sys.argv:
        print("\n".join(details))
    known = KNOWN.read_text() if KNOWN.exists() else ""
    if text == known:
        return 0
    print("the circles of imports are not those of .ci/circles.txt:", file=sys.stderr)
    for line in sorted(set(text.splitlines()) - set(known.splitlines())):
        print(f"  new: {line}", file=sys.stderr)
    for line in sorted(set(known.splitlines()) - set(text.splitlines())):
        print(f"  gone: {line}", file=sys.stderr)
    print("Remove the new one. For one that is gone, run `.ci/circles.py --record`.", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
