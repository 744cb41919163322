"""The command lines that a page shows: what stands in its code blocks, line by line."""

from __future__ import annotations

import re
import shlex

from markdown_it import MarkdownIt

# Blocks that are no command lines: configuration, code, output.
_SHELL = ("", "sh", "bash", "console", "shell")
_COMMENT = re.compile(r"(^|\s{2,})#( .*)?$")


def blocks_of(text: str) -> list[list[str]]:
    """The command lines of each code block without a language, or with a shell's; comments are left out."""
    tokens = MarkdownIt("commonmark").parse(text)
    found = [
        token.content
        for token in tokens
        if token.type == "code_block" or (token.type == "fence" and token.info.strip() in _SHELL)
    ]
    return [
        [line for each in block.splitlines() if (line := _COMMENT.sub("", each).strip())] for block in found
    ]


def words_of(command: str) -> list[list[str]]:
    """The words of each simple command of a line; what a redirection or a pipe follows counts, too."""
    simple: list[list[str]] = [[]]
    lexer = shlex.shlex(command, posix=True, punctuation_chars="&|;<>")
    lexer.whitespace_split = True
    skip = False
    for word in lexer:
        if word in ("&&", "||", "|", ";"):
            simple.append([])
        elif word in (">", "<", ">>"):
            skip = True
        elif not skip:
            simple[-1].append(word)
        else:
            skip = False
    return [each for each in simple if each]
