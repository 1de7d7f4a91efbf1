# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
#
# Completion for fish. What there is to complete is asked of the program: commands and options of
# its --help, plans by name.

function __keepsakectl_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l program (string replace -r '^~' $HOME -- $words[1])
    set -l command $words[2]
    if contains -- "$words[2]" plan credentials; and set -q words[3]
        set command $words[2..3]
    end
    set -l help ($program $command --help 2>/dev/null)
    set -l before (string escape --style=regex -- $words[-1])

    if string match -qr -- '^--[a-z-]+=' $current
        set -l option (string replace -r '=.*' '=' -- $current)
        if string match -qr -- (string escape --style=regex -- $option)'(FILE|SOURCE)' $help
            string replace -r '^' -- $option (__fish_complete_path (string replace -r '^[^=]*=' '' -- $current))
        end
    else if string match -q -- '-*' $words[-1]; and string match -qr -- "$before(, --[a-z-]+)?=" $help
        string match -qr -- "$before(, --[a-z-]+)?=(FILE|SOURCE)" $help
        and __fish_complete_path $current
    else if string match -q -- '-*' $current
        printf '%s\n' $help | sed -n 's/^  \(-., \)\{0,1\}\(--[a-z0-9-]*\)\(=[^ ]*\)\{0,1\}  *\(.*\)/\2\t\4/p'
    else if contains -- Commands: $help
        # Two blanks stand before what is said of a command, behind its parameters if it has any.
        printf '%s\n' $help | sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z]*\) .*  \([^ ].*\)$/\1\t\2/p
            /^Commands:/,/^$/s/^  \([a-z][a-z]*\)  *\([^ ].*\)$/\1\t\2/p'
    else if string match -qr -- '^  keepsakectl .*(SOURCE|TARGET|FILE)' $help
        and not begin
            test (count $words) -eq (math 1 + (count $command))
            and string match -qr -- '^  keepsakectl .* PLAN' $help
        end
        __fish_complete_path $current
    else if string match -qr -- '^  keepsakectl .* PLAN' $help
        $program plan list --json 2>/dev/null \
            | sed -n 's/.*"name" *: *"\(\([^"\\\\]\|\\\\.\)*\)".*/\1/p' | sed 's/\\\\\(.\)/\1/g'
    end
end

complete -c keepsakectl -f -a '(__keepsakectl_complete)'
