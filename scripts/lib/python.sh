# Find a Python that Baton runs on. Sourced by the other scripts.

# Whether the command $1 really is such a Python: shims exist on the path without working, and some builds lack `venv`.
python_works() {
    "$1" -c 'import sys, venv, ensurepip, ssl, sqlite3; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' \
        >/dev/null 2>&1
}

# Print the first that works: BATON_PYTHON, then the path, then where version managers keep theirs.
find_python() {
    local candidate
    for candidate in "${BATON_PYTHON:-}" python3.11 python3.12 python3.13 python3 python \
        "${HOME:-}"/.pyenv/versions/3.1[123].*/bin/python \
        "${HOME:-}"/.local/share/uv/python/*-3.1[123].*/bin/python3 \
        /opt/python*/bin/python3 /usr/local/bin/python3.1[123]; do
        if [ -n "$candidate" ] && python_works "$candidate"; then
            echo "$candidate"
            return 0
        fi
    done
    echo "No Python 3.11, 3.12 or 3.13 with venv was found. Install one (on Debian: python3 and python3-venv)" >&2
    echo "or name it: BATON_PYTHON=/path/to/python $0" >&2
    return 1
}
