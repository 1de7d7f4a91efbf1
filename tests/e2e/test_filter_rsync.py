# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
"""The excludes mean what they mean to rsync: the real rsync lists a tree, our filter lists it too.

Both are asked at once about the contents of a folder (SOURCE/) and about the folder (SOURCE), which
differ in what anchored patterns refer to.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fixtures.app import BUILD

PROBE = BUILD / "tests/unit/mirror/filter-probe"

# A rule is what stands on the command line: "-x" for --exclude, "-i" for --include, "-X" and "-I"
# for --exclude-from and --include-from with the content of the file.
Rule = tuple[str, bytes]
RSYNC_OPTION = {"-x": "exclude", "-i": "include", "-X": "exclude-from", "-I": "include-from"}

LIST_LINE = re.compile(rb"([-dl])\S{9} +[\d,.]+ \d{4}/\d\d/\d\d \d\d:\d\d:\d\d (.*)")
LINK_TARGET = b"nowhere/at/all"

FILES = """
a b c .hidden x.o y.o .o o.x core core.1 core.12 core.123 README readme file.txt file.txt~ [a] [ab
a*b a?b a\\b foo\\bar - + ! ;c #c a- -a a^ ^a ] [ \\ \\\\ * ** ? {a,b} caf\xe9 caf\xc3\xa9
foo/a foo/bar foo/b.o foo/.git/config foo/.git/HEAD foo/bar.d/x.o foo/sub/foo/bar foo/x/y/bar
foo/foo/foo bar/foo bar/bar bar/a.tmp bar/foo/bar/baz bar/foo/baz bar/foo/bar/foo
cache/a cache/b/c deep/cache/a deep/er/cache/b deep/er/still/cache/c/d deep/cachet mycache/a
dir/a dir/b/c dir/b/d/e dir/dir/f sub/dir/a sub/dir/b/c subdir/a sub/dirt/a sub/dir.d/a
Photos/2026/01/a.jpg Photos/2026/01/a.JPG Photos/2026/02/b.jpg Photos/thumbs/a.jpg Photos/.thumbs/a
x/y/zzz.txt x/y/file.txt x/z/file.txt x/file.txt x/y/x/y/file.txt foo-bar path/foo-bar path/foo/xbar
a.b/c.d/e.f a.b/c.d.e/f A/B/C tmp.x/y/tmp 1 12 1a a1 _ a_b empty.d/.keep ~ a~ ~a %20 a%b $HOME a=b
w:x w/a:b/c [x]/y [x]/[y] x]/y back\\slash/x star*/x ab/ab/ab/ab aaaaaaaaaaaaaaaaaaaab
"""
DIRECTORIES = ["empty", "dir/empty", "foo/empty/cache", "[e]", "x.o.d"]
LINKS = ["link", "foo/link", "core.9", "dir/cache"]

RULE_SETS = r"""
-x a
-x foo
-x bar
-x *.o
-x *.o/
-x foo/
-x /foo
-x /foo/
-x /foo/bar
-x foo/bar
-x /bar
-x /source
-x /source/foo
-x source
-x source/
-x source/foo
-x /source/*/bar
-x /*
-x /*/
-x /*/*
-x */*
-x */
-x *
-x **
-x ***
-x /**
-x /***
-x **/
-x ***/
-x */**
-x **/*
-x **/**
-x /**/
-x foo/*
-x foo/**
-x foo/***
-x /foo/*
-x /foo/**
-x /foo/***
-x dir/***
-x dir/***/
-x dir**
-x dir***
-x di***
-x */***
-x sub/***/a
-x cache/
-x **/cache
-x **/cache/
-x **/cache/**
-x cache/**
-x *cache
-x *cache*/*
-x foo/*/bar
-x /foo/**/bar
-x foo/**/bar
-x foo**bar
-x **foo**bar
-x f*r
-x f**r
-x /f**r
-x *foo/b*
-x ?
-x ??
-x ?*
-x .*
-x *.*
-x .?*
-x core.?
-x core.[0-9]
-x core.[0-9]*
-x core.[!0-9]
-x [a-c]
-x [!a-c]
-x [^a-c]
-x [^a-c]*
-x [!]
-x []a]
-x [!]a]
-x []-]
-x [-a]
-x [a-]
-x [a-]*
-x [!-a]*
-x [+--]
-x [[]*
-x []]*
-x [[:alpha:]]
-x [[:upper:]]*
-x [[:lower:]]*.[[:lower:]]
-x [[:digit:]]
-x [[:digit:][:upper:]]
-x [![:alnum:]]
-x [[:alnum:]_]
-x [[:punct:]]
-x [[:punct:][:digit:]]*
-x [[:space:]]*
-x *[[:space:]]*
-x *[[:cntrl:]]*
-x *[[:xdigit:]]
-x *[![:print:]]*
-x *[![:graph:]]*
-x *[[:blank:]]
-x [[:word:]]
-x [[:bad:]]*
-x [[:alpha]*
-x [[:alpha:]*
-x [[:]a]*
-x [[::]a]*
-x [[:a
-x [:alpha:]
-x [a-[:digit:]]
-x [[:digit:]-a]*
-x [a-c-z]*
-x [z-a]
-x [a-\c]
-x [\a-c]
-x [\]]
-x [\\]*
-x [a\
-x [a-\
-x [
-x a[
-x [a
-x [ab
-x [*
-x *[
-x **[
-x \[a\]
-x \[a]
-x [[]a]
-x foo\bar
-x foo\\bar
-x foo\bar*
-x foo\\bar*
-x a\*b
-x a\?b
-x \*
-x \**
-x \\
-x \\*
-x \
-x *\
-x a*\
-x \a
-x \a*
-x *\*
-x *\b*
-x back\slash/x
-x back\\slash/*
-x back*/x
-x foo[/]bar
-x foo[!a]bar
-x foo?bar
-x foo*bar
-x foo/?ar
-x foo//bar
-x foo//
-x //foo
-x //
-x /
-x ./foo
-x foo/.
-x .
-x ..
-x /./foo
-x foo/bar/
-x x/y/*
-x x/**/file.txt
-x **file.txt
-x **/file.txt
-x /**/file.txt
-x */file.txt
-x */*/file.txt
-x x/**.txt
-x x/y/**
-x y/**/file.txt
-x **/y/**/file.txt
-x **y/**
-x ab/ab
-x ab/*b
-x a*/ab
-x ab**ab
-x /ab**ab
-x a*a*a*b
-x a*a*a*a*a*a*a*c
-x **a**a**a**b
-x {a,b}
-x caf?
-x caf??
-x caf*
-x %20
-x - a
-x - - a
-x + a
-x + a -x *
-x - !
-x !
-x a -x ! -x b
-i a -x ! -x *.o
-x -
-x +
-x -a
-x -_a
-x -/ foo
-x -, foo
-x !a
-x - /foo
-x + */ -x + *.o -x *
-i */ -i *.txt -x *
-i foo/ -i foo/bar -x *
-i /foo/*** -x *
-i *.o -x foo
-x foo -i foo/bar
-i - b -x c
-x *.o -x *.tmp -x /cache/ -x .git/ -x Photos/thumbs
-x *.jpg -x .thumbs -x *~
-x P*/2*/*/*.jpg
-x P**.jpg
-x [P]hotos/***
-x Photos/20[0-9][0-9]/0[!2]
-x link
-x link/
-x core.*/
-x empty/
-x x.o*
-x x.o.d/
-x $HOME
-x w:x
-x *:*
-x a:b/c
-x sub/dir/*
-x sub/*/*
-x sub/dir*/a
-x sub**a
-x sub/dir/**/c
-x /sub/dir/***
-x r/a
-x ir/***
-x oo/bar
"""


def parse_rules(line: str) -> list[Rule]:
    """One line of RULE_SETS: options, each with a pattern that may hold blanks but no " -x "."""
    parts = re.split(r"(?:^| )(-[xi]) ", line)
    return [(o, p.encode("latin-1")) for o, p in zip(parts[1::2], parts[2::2], strict=True)]


BYTES_RULE_SETS: list[list[Rule]] = [
    [],
    [("-x", b"")],
    [("-x", b"- ")],
    [("-i", b"+ ")],
    [("-x", b"a ")],
    [("-x", b" a")],
    [("-x", b"a"), ("-x", b"! ")],
    [("-x", b"- x")],
    [("-x", b"- - x")],
    [("-x", b"- x|a ")],
    [("-x", b"+ c"), ("-x", b"?")],
    [("-x", b"caf\xe9")],
    [("-x", b"caf[\xe0-\xff]")],
    [("-x", b"caf\xc3\xa9*")],
    [("-x", b"caf[\xc3\xa9]")],
    [("-x", b"caf[^\xe9]*")],
    [("-x", b"a\nb")],
    [("-x", b"a[\n]b")],
    [("-x", b"a?b")],
    [("-x", b"*" * 50 + b"q")],
    [("-x", b"a*" * 40 + b"q")],
    [("-x", b"**a*" * 20 + b"q")],
    [("-x", b"?" * 300)],
    [("-x", b"/".join([b"*"] * 12))],
    [("-x", b"/".join([b"**"] * 12))],
    [("-X", b"a\nb\n")],
    [("-X", b"a\r\nb\r;c\r\n#c\n\n\n \n- x\n")],
    [("-X", b"; comment\n# comment\n ;c\n ;c\n- ;c\n- #c\n")],
    [("-X", b"a\n!\nb")],
    [("-X", b"a\n! \nb")],
    [("-X", b"a\n- !\nb")],
    [("-X", b"+ a\n*\n"), ("-x", b"b")],
    [("-X", b"- \nb\n")],
    [("-X", b"a\0b\nc\n")],
    [("-X", b"\xef\xbb\xbfa\nb\n")],
    [("-X", b"")],
    [("-X", b"\n")],
    [("-X", b"-\n+\n!a\n")],
    [("-I", b"a\n- b\n*.o\n"), ("-x", b"*")],
    [("-x", b"a"), ("-I", b"!\nb\n"), ("-x", b"?")],
    [("-i", b"*/"), ("-X", b"+ *.txt\n# all the rest\n*\n")],
    [("-x", b"foo"), ("-X", b"a*\n"), ("-i", b"x"), ("-X", b"/x/*\n+ b\n")],
]

ALPHABET = b"aab.-*[]!\\?^/"


def random_name(rng: random.Random) -> bytes:
    alphabet = ALPHABET.replace(b"/", b"")
    while True:
        name = bytes(rng.choices(alphabet, k=rng.choice((1, 1, 1, 2, 2, 3))))
        if name not in (b".", b".."):
            return name


def random_pattern(rng: random.Random) -> bytes:
    kinds = (b"*", b"*", b"**", b"***", b"?", b"/", b"/", b"/", b"a", b"a", b"b", b"ab", b".", b"-")
    classes = (b"[a]", b"[!a]", b"[^b]", b"[a-b]", b"[]a]", b"[[:alpha:]]", b"[.-]", b"[\\]]")
    parts = []
    for _ in range(rng.randint(1, 6)):
        draw = rng.random()
        if draw < 0.75:
            parts.append(rng.choice(kinds))
        elif draw < 0.87:
            parts.append(rng.choice(classes))
        elif draw < 0.92:
            parts.append(b"\\" + bytes([rng.choice(ALPHABET)]))
        else:
            parts.append(bytes(rng.choices(ALPHABET, k=2)))
    return b"".join(parts)


def random_rules(rng: random.Random) -> list[Rule]:
    return [
        (rng.choice(("-x", "-x", "-x", "-i")), random_pattern(rng))
        for _ in range(rng.choice((1, 1, 1, 2, 3)))
    ]


class Tree:
    """A folder called "source", and what is in it."""

    def __init__(self, folder: Path, paths: list[bytes]) -> None:
        self.root = os.fsencode(folder / "source")
        for path in paths:
            self._make(path)
        self.entries: list[tuple[bytes, bytes]] = []
        for directory, names, files in os.walk(self.root):
            for name in names + files:
                full = os.path.join(directory, name)
                is_directory = os.path.isdir(full) and not os.path.islink(full)
                path = os.path.relpath(full, self.root)
                self.entries.append((b"d" if is_directory else b"f", path))

    def _make(self, path: bytes) -> None:
        full = os.path.join(self.root, path)
        try:
            if path.endswith(b"/"):
                os.makedirs(full, exist_ok=True)
                return
            os.makedirs(os.path.dirname(full), exist_ok=True)
            if path.endswith(b"@"):
                os.symlink(LINK_TARGET, full[:-1])
            else:
                open(full, "xb").close()
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            pass  # two random names that meet

    def list_with_rsync(self, rules: list[Rule]) -> set[bytes] | None:
        """What rsync would transfer; None if it refuses the rules."""
        options = [b"--%s=%s" % (RSYNC_OPTION[o].encode(), p) for o, p in rules]
        sources = [self.root + b"/", self.root]
        run = subprocess.run(
            [b"rsync", b"-a", b"-n", b"-8", b"--list-only", *options, b"--", *sources, b"/nowhere"],
            capture_output=True,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
            check=False,
        )
        if run.returncode != 0:
            return None
        kept = set()
        for line in run.stdout.splitlines():
            match = LIST_LINE.fullmatch(line)
            assert match, line
            name = match[2].removesuffix(b" -> " + LINK_TARGET) if match[1] == b"l" else match[2]
            kept.add(re.sub(rb"\\#(\d{3})", lambda m: bytes([int(m[1], 8)]), name))
        return kept - {b"."}

    def list_with_keepsake(self, rules: list[Rule]) -> set[bytes] | None:
        entries = [*self.entries, (b"d", b"source")]
        entries += [(t, b"source/" + p) for t, p in self.entries]
        run = subprocess.run(
            [PROBE, *(part for rule in rules for part in rule)],
            input=b"".join(t + b" " + p + b"\0" for t, p in entries),
            capture_output=True,
            check=False,
        )
        if run.returncode == 1:
            return None
        assert run.returncode == 0, run.stderr
        return {line[2:] for line in run.stdout.split(b"\0")[:-1]}

    def compare(self, rules: list[Rule]) -> None:
        rsync = self.list_with_rsync(rules)
        keepsake = self.list_with_keepsake(rules)
        if rsync is None or keepsake is None:
            assert keepsake == rsync, rules
            return
        assert not rsync - keepsake, (rules, "rsync keeps these, we do not")
        assert not keepsake - rsync, (rules, "rsync excludes these, we do not")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    paths = [name.encode("latin-1") for name in FILES.split()]
    paths += [b"a\nb", b"- x", b"a ", b" a", b"x\ty", b"foo/ "]
    paths += [path.encode() + b"/" for path in DIRECTORIES]
    paths += [path.encode() + b"@" for path in LINKS]
    return Tree(tmp_path_factory.mktemp("tree"), paths)


@pytest.fixture(scope="module")
def random_tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    rng = random.Random(1)
    paths = [b"/".join(random_name(rng) for _ in range(rng.randint(1, 4))) for _ in range(400)]
    return Tree(tmp_path_factory.mktemp("random"), paths)


def with_files(rules: list[Rule], folder: Path) -> list[Rule]:
    """The rules with "-X CONTENT" turned into "-X FILE"."""
    result = []
    for i, (option, pattern) in enumerate(rules):
        if option in ("-X", "-I"):
            file = folder / f"rules-{i}"
            file.write_bytes(pattern)
            pattern = os.fsencode(file)
        result.append((option, pattern))
    return result


@pytest.mark.parametrize("line", RULE_SETS.strip().splitlines())
def test_rules(line: str, tree: Tree) -> None:
    rules = parse_rules(line)
    assert rules
    tree.compare(rules)


@pytest.mark.parametrize("rules", BYTES_RULE_SETS, ids=range(len(BYTES_RULE_SETS)))
def test_bytes_and_files(rules: list[Rule], tree: Tree, tmp_path: Path) -> None:
    tree.compare(with_files(rules, tmp_path))


def test_standard_input(tmp_path: Path) -> None:
    """The file is "-"; the paths come that way too, so only a refusal can be seen."""
    run = subprocess.run([PROBE, "-X", "-"], input=b"*.o\n- \n", capture_output=True, check=False)
    assert run.returncode == 1
    assert b"has no pattern" in run.stderr


@pytest.mark.parametrize("seed", range(10))
def test_random_rules(seed: int, random_tree: Tree) -> None:
    rng = random.Random(seed)
    rule_sets = [random_rules(rng) for _ in range(20)]
    with ThreadPoolExecutor(4) as pool:  # rsync mostly waits for its own other half
        for _ in pool.map(random_tree.compare, rule_sets):
            pass
