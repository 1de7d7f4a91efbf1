# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: The Keepsake authors
#
# Completion for bash. What there is to complete is asked of the program: commands and options of
# its --help, plans by name.

_keepsakectl_help () {
  "${COMP_WORDS[0]/#\~/$HOME}" "$@" --help 2>/dev/null
}

_keepsakectl_plans () {
  "${COMP_WORDS[0]/#\~/$HOME}" plan list --json 2>/dev/null \
    | sed -n 's/.*"name" *: *"\(\([^"\\]\|\\.\)*\)".*/\1/p' | sed 's/\\\(.\)/\1/g'
}

# _keepsakectl_offer BEGINNING: of the lines of standard input those that begin so, quoted
_keepsakectl_offer () {
  local line
  while IFS= read -r line; do
    [[ $line != "$1"* ]] || COMPREPLY+=("$(printf '%q' "$line")")
  done
}

_keepsakectl_files () {
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen -f -- "$1")
}

_keepsakectl () {
  local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} help
  local -a command=("${COMP_WORDS[@]:1:1}")
  COMPREPLY=()

  if (( COMP_CWORD == 1 )); then
    command=()
  elif [[ ${command[0]} == plan || ${command[0]} == credentials ]] && (( COMP_CWORD > 2 )); then
    command=("${COMP_WORDS[@]:1:2}")
  fi
  help=$(_keepsakectl_help "${command[@]}")
  # What is completed is the first argument of the command.
  local -i first=$(( COMP_CWORD == ${#command[@]} + 1 ))

  # --option=VALUE is three words to bash.
  if [[ $current == = ]]; then
    current=''
  elif [[ $before == = ]]; then
    before=${COMP_WORDS[COMP_CWORD-2]}
  fi
  if [[ $before == -* ]] && grep -qE -e "$before(, --[a-z-]+)?=(FILE|SOURCE)" <<<"$help"; then
    _keepsakectl_files "$current"
  elif [[ $before == --* ]] && grep -q -e "$before=" <<<"$help"; then
    return  # only people know
  elif [[ $current == -* ]]; then
    _keepsakectl_offer "$current" < <(
      sed -n 's/^  \(-., \)\{0,1\}\(--[a-z0-9-]*\).*/\2/p' <<<"$help")
  elif grep -q '^Commands:' <<<"$help"; then
    _keepsakectl_offer "$current" < <(
      sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z]*\) .*/\1/p' <<<"$help")
  elif (( first )) && grep -qE '^  keepsakectl .* PLAN' <<<"$help"; then
    _keepsakectl_offer "${current//\\/}" < <(_keepsakectl_plans)
  elif grep -qE '^  keepsakectl .*(SOURCE|TARGET|FILE)' <<<"$help"; then
    _keepsakectl_files "$current"
  elif grep -qE '^  keepsakectl .* PLAN' <<<"$help"; then
    _keepsakectl_offer "${current//\\/}" < <(_keepsakectl_plans)
  fi
}

complete -F _keepsakectl keepsakectl
