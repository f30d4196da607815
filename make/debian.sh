# shellcheck shell=bash
# Debian packages fetched into .cache and unpacked into a folder: nothing is installed on the machine. Works as root or
# not; where the machine's package lists are missing, unreadable or stale, private ones are made in .cache.

apt_folder="${root:?}/.cache/apt"
apt_own=()

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
fail() { say "$*"; exit 1; }
has_apt() { command -v apt-get >/dev/null && command -v dpkg >/dev/null; }

# Options for apt-get with which it writes below .cache only. The record of installed packages stays the machine's.
apt_private() {
  mkdir -p "$apt_folder/lists/partial" "$apt_folder/cache/archives/partial" "$apt_folder/state" "$apt_folder/log"
  apt_own=(
    -o "Dir::Cache=$apt_folder/cache" -o "Dir::Cache::pkgcache=packages.bin" -o "Dir::Cache::srcpkgcache=sources.bin"
    -o "Dir::State::extended_states=$apt_folder/state/extended_states" -o "Dir::Log=$apt_folder/log"
    -o "APT::Sandbox::User=$(id -un)" -o "Debug::NoLocking=1" -o "Acquire::Retries=3" -o "Acquire::Languages=none"
    -o "APT::Install-Recommends=0" -o "APT::Get::AllowUnauthenticated=0"
  )
}

# Makes private package lists and uses them from now on.
apt_refresh() {
  say "reading the package lists"
  apt_own+=(-o "Dir::State::lists=$apt_folder/lists")
  apt-get "${apt_own[@]}" -q update >"$apt_folder/log/update" 2>&1 || { tail -n 5 "$apt_folder/log/update" >&2; return 1; }
}

# debian_closure PACKAGE...: these packages and what they need beyond what the machine has, one name=version a line.
debian_closure() {
  apt-get "${apt_own[@]}" -q -y --simulate install "$@" 2>"$apt_folder/log/simulate" |
    sed -n 's/^Inst \([^ ]*\) \(\[[^]]*\] \)\?(\([^ ]*\) .*/\1=\3/p'
  return "${PIPESTATUS[0]}"
}

# debian_download NAME[=VERSION]...: into .cache/apt/packages; what lies there already isn't fetched again.
debian_download() {
  mkdir -p "$apt_folder/packages"
  (cd "$apt_folder/packages" && apt-get "${apt_own[@]}" -q download "$@" >"$apt_folder/log/download" 2>&1)
}

# debian_unpack FOLDER NAME...: the downloaded packages of these names.
debian_unpack() {
  local folder=$1 name package
  shift
  mkdir -p "$folder"
  for name in "$@"; do
    for package in "$apt_folder/packages/${name%%=*}"_*.deb; do
      dpkg -x "$package" "$folder" || return 1
    done
  done
}
