# SPDX-License-Identifier: MIT
"""print the completion script of a shell

Use: eval "$(zcrx completion bash)", or zcrx completion fish | source.
"""

from __future__ import annotations

import argparse


def describe(parser: argparse.ArgumentParser) -> None:
    """The arguments."""
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))


def _subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def words(parser: argparse.ArgumentParser, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], list[str]]:
    """For each command path, what may follow it: subcommands, options, choices."""
    children = _subparsers(parser)
    options = [name for action in parser._actions for name in action.option_strings if name.startswith("--")]
    choices = [
        str(choice)
        for action in parser._actions
        if not action.option_strings and action.choices and not children
        for choice in action.choices
    ]
    found = {path: [*children, *choices, *options]}
    for name, child in children.items():
        found |= words(child, (*path, name))
    return found


def _bash(tree: dict[tuple[str, ...], list[str]]) -> str:
    cases = "\n".join(f'        "{" ".join(path)}") words="{" ".join(w)}" ;;' for path, w in tree.items())
    known = "|".join('"' + " ".join(path) + '"' for path in tree if path)
    return f"""_zcrx() {{
    local words= path= word
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        case "${{path:+$path }}$word" in {known}) path="${{path:+$path }}$word" ;; esac
    done
    case "$path" in
{cases}
    esac
    COMPREPLY=($(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -o default -F _zcrx zcrx"""


def _fish(tree: dict[tuple[str, ...], list[str]]) -> str:
    lines = []
    for path, follow in tree.items():
        seen = "; and ".join(f"__fish_seen_subcommand_from {name}" for name in path)
        condition = seen or "__fish_use_subcommand"
        for word in follow:
            kind = f"-l {word[2:]}" if word.startswith("--") else f"-f -a {word}"
            lines.append(f"complete -c zcrx -n '{condition}' {kind}")
    return "\n".join(lines)


def run(settings: argparse.Namespace) -> int:
    """Print the script."""
    from . import parser

    tree = words(parser())
    if settings.shell == "fish":
        print(_fish(tree))
    elif settings.shell == "zsh":
        print("autoload -U +X bashcompinit && bashcompinit\n" + _bash(tree))
    else:
        print(_bash(tree))
    return 0
