#!/bin/sh
# Installs holdcheck from the bundle that this file lies in, without a network. `sh install.sh --help` says how.
set -eu
umask 022
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"

usage() {
    cat <<'TEXT'
Usage: sh install.sh [OPTION]...

Installs holdcheck from the unpacked bundle around this file, or upgrades to it. Nothing is downloaded. The new version
is installed beside the old one, analyses a sample photo, and only then takes over. Settings and data are never changed.

As root, where systemd runs: code in /opt/holdcheck/VERSION, settings in /etc/holdcheck/env, data and prepared models in
/var/lib/holdcheck, a user and a service called holdcheck, which is started. As anybody else: all of it in ~/holdcheck.

  --user             for yourself alone, without root's rights and without a service (what is done where you are not root)
  --no-systemd       as root, but without a service: says how to start it
  --prefix DIR       where the code goes; with --user also settings, data and models
  --python FILE      the Python to use
  --memory SIZE      what the service may take, like 256M (the unit says 512M; kept by later upgrades)
  --skip-self-test   do not analyse a sample photo first
  --rollback         go back to the version before this one
  --uninstall        remove code and service; data, models and settings stay
  --purge            with --uninstall: remove these as well
  --help             this text

It ends with 0 where all is done, 2 where the options make no sense, else with 1.
TEXT
}

say() { printf '%s\n' "holdcheck: $*"; }

die() {
    printf '%s\n' "holdcheck: $*" >&2
    exit 1
}

misused() {
    printf '%s\n' "holdcheck: $* (--help lists the options)" >&2
    exit 2
}

# --- what was asked for --------------------------------------------------------------------------------------------

read_options() {
    action=install
    prefix='' python='' memory=''
    for_user='' no_systemd='' purge='' self_test=yes
    while [ $# -gt 0 ]; do
        case $1 in
            --help | -h) usage && exit 0 ;;
            --user) for_user=yes ;;
            --no-systemd) no_systemd=yes ;;
            --purge) purge=yes ;;
            --skip-self-test) self_test='' ;;
            --rollback) action=rollback ;;
            --uninstall) action=uninstall ;;
            --prefix | --python | --memory)
                [ $# -gt 1 ] || misused "$1 takes a value"
                case $1 in
                    --prefix) prefix=$2 ;;
                    --python) python=$2 ;;
                    --memory) memory=$2 ;;
                esac
                shift
                ;;
            *) misused "there is no option $1" ;;
        esac
        shift
    done
    [ -z "$purge" ] || [ "$action" = uninstall ] || misused "--purge goes with --uninstall"
    case $memory in
        '' | *[0-9] | *[0-9][KMG]) ;;
        *) misused "--memory $memory: takes bytes, or a number with K, M or G, like 256M" ;;
    esac
    case ${memory%[KMG]} in *[!0-9]*) misused "--memory $memory: takes a number, like 256M" ;; esac
    case $prefix in
        '' | /*) ;;
        *) prefix=$(pwd)/$prefix ;;
    esac
    case $prefix in *[!A-Za-z0-9/._+-]* | */../*) misused "--prefix $prefix: takes letters, digits and /._+-" ;; esac
}

choose_places() {
    [ "$(id -u)" = 0 ] || [ -n "$for_user" ] || {
        for_user=yes
        say "not root: installing for you alone"
    }
    with_systemd=''
    if [ -n "$for_user" ]; then
        prefix=${prefix:-${HOME:?}/holdcheck}
        state=$prefix settings=$prefix/.env
        [ -z "$memory" ] || misused "--memory is for the service; here it is for you alone"
        return
    fi
    prefix=${prefix:-/opt/holdcheck}
    state=/var/lib/holdcheck settings=/etc/holdcheck/env
    unit=/etc/systemd/system/holdcheck.service
    [ -n "$no_systemd" ] || {
        if [ -d /run/systemd/system ]; then with_systemd=yes; else say "systemd does not run here: no service"; fi
    }
}

# --- is the bundle whole, and for this machine? --------------------------------------------------------------------

fact() { sed -n "s/^$1=//p" "$here/bundle.txt"; }

check_bundle() {
    [ -f "$here/SHA256SUMS" ] ||
        die "$here is no unpacked bundle: run the install.sh that lies in one (make bundle makes it)"
    if ! sums=$(cd "$here" && sha256sum -c SHA256SUMS 2>/dev/null); then
        damaged=$(printf '%s\n' "$sums" | sed -n 's/: FAILED.*//p' | tr '\n' ' ')
        die "the bundle is damaged, nothing was installed: ${damaged:-SHA256SUMS }is not as it was made; copy it again"
    fi
    # pip would take what was laid beside the wheels as gladly.
    listed=$(sed 's/^[0-9a-f]*  //' "$here/SHA256SUMS")
    present=$(cd "$here" && find . -type f ! -path ./SHA256SUMS | sed 's,^\./,,')
    stray=$(printf '%s\n' "$present" | grep -v -F -x -e "$listed" | tr '\n' ' ')
    [ -z "$stray" ] || die "not part of the bundle, nothing was installed: ${stray}must go"
    version=$(fact version)
}

check_machine() {
    machine=$(uname -m)
    [ "$(uname -s)" = Linux ] || die "this bundle is for Linux; this is $(uname -s)"
    [ "$machine" = "$(fact machine)" ] ||
        die "this bundle is for $(fact machine); this machine is $machine: make one with \`make bundle PLATFORM=$machine\`"
}

# Prints what is wrong with a Python, and nothing where it will do.
misfit() {
    "$1" -I - "$(fact python)" "$(fact glibc)" <<'PYTHON' 2>/dev/null || echo "does not run"
import os, platform, struct, sys
python, glibc = sys.argv[1:]
try:
    libc = (os.confstr("CS_GNU_LIBC_VERSION") or "another libc").split()
except (ValueError, OSError):
    libc = ["another", "libc"]
if sys.implementation.name != "cpython" or "%d.%d" % sys.version_info[:2] != python:
    print("is", platform.python_implementation(), platform.python_version())
elif struct.calcsize("P") != 8:
    print("is a 32-bit program")
elif libc[0] != "glibc":
    print("uses no glibc (musl, as on Alpine?): the bundle is for glibc", glibc, "or newer")
elif tuple(map(int, libc[1].split("."))) < tuple(map(int, glibc.split("."))):
    print("uses glibc %s: the bundle is for %s or newer" % (libc[1], glibc))
PYTHON
}

choose_python() {
    found=''
    if [ -n "$python" ]; then set -- "$python"; else set -- "python$(fact python)" python3 python; fi
    for candidate in "$@"; do
        path=$(command -v "$candidate") || continue
        wrong=$(misfit "$path")
        if [ -z "$wrong" ] && [ -z "$for_user" ]; then
            case $("$path" -I -c 'import os, sys; print(os.path.realpath(sys.executable))') in
                /root/* | /home/* | /run/user/*) wrong="lies in somebody's home, which the service's user cannot read" ;;
            esac
        fi
        [ -n "$wrong" ] || {
            python=$path
            return
        }
        found="$found; $path $wrong"
    done
    die "this bundle needs CPython $(fact python) (64-bit, glibc $(fact glibc) or newer); found none${found}." \
        "Install it, name one with --python, or make a bundle for another: \`make bundle PYTHON_VERSION=3.N\`"
}

# --- install -------------------------------------------------------------------------------------------------------

install_code() {
    code=$prefix/$version
    # Written last: where it lies, the rest is whole. Models are not the version's: another bundle may bring more.
    if [ -f "$code/INSTALLED" ]; then
        grep -v '  models/' "$here/SHA256SUMS" | cmp -s - "$code/INSTALLED" ||
            die "$version is installed already, from a bundle with other contents: make one with another version"
        say "$version is installed already"
        return
    fi
    say "installing $version in $code"
    rm -rf "$code"
    mkdir -p "$code"
    # Debian's venv makes no pip without another package; the bundle has its own.
    "$python" -I -m venv --without-pip "$code/venv"
    PIP_CONFIG_FILE=/dev/null "$code/venv/bin/python" -I "$(echo "$here"/wheels/pip-*.whl)/pip" --isolated install \
        --quiet --no-index --find-links "$here/wheels" --no-cache-dir --disable-pip-version-check \
        --root-user-action ignore "holdcheck==$version" || {
        rm -rf "$code"
        die "pip could not install the wheels; nothing was changed"
    }
    for file in install.sh bundle.txt holdcheck.service monitor_memory.sh monitor.sh .env.example LICENSE samples source.tar.gz; do
        cp -R "$here/$file" "$code/$file"
        chmod -R a+rX "$code/$file"
    done
    grep -v '  models/' "$here/SHA256SUMS" >"$code/INSTALLED"
}

install_settings() {
    [ ! -e "$settings" ] || return 0
    mkdir -p "$(dirname "$settings")"
    # All commented out: a later version's better defaults are not held back by this one's.
    (umask 077 && sed 's/^\([A-Z]\)/#\1/' "$here/.env.example" >"$settings")
}

install_models() {
    mkdir -p "$state/models"
    [ -d "$here/models" ] || return 0
    for artefact in "$here"/models/*/*; do
        name=${artefact#"$here"/models/}
        there=$state/models/$name
        if [ ! -e "$there" ]; then
            mkdir -p "$(dirname "$there")"
            rm -rf "$there.new"
            cp -R "$artefact" "$there.new"
            chmod -R a+rX "$there.new"
            mv "$there.new" "$there"
        elif ! cmp -s "$artefact/manifest.json" "$there/manifest.json"; then
            say "$there stays as it is; the bundle has another: remove it and run this again to take that"
        fi
    done
}

make_user() {
    [ -z "$for_user" ] || return 0
    if ! id holdcheck >/dev/null 2>&1; then
        command -v useradd >/dev/null || die "there is no useradd: make a system user and group called holdcheck first"
        useradd --system --user-group --no-create-home --home-dir "$state" --shell /usr/sbin/nologin holdcheck
    fi
    mkdir -p "$state/data"
    chown holdcheck:holdcheck "$state/data"
    chmod 700 "$state/data"
    chown root:holdcheck "$settings"
    chmod 640 "$settings"
    # So that commands which are run in this folder by hand know the settings too.
    ln -sfn "$settings" "$state/.env"
}

# The models of a version, with these settings, on a photo: what cannot do this must not take over.
test_code() {
    [ -n "$self_test" ] && [ "$(readlink "$prefix/current" || true)" != "$version" ] || return 0
    say "analysing a sample with $version"
    (cd "$state" && as_service_user "$code/venv/bin/python" -I -m holdcheck analyze "$code/samples/plywood.jpg") >"$code/self-test.log" 2>&1 || {
        tail -n 5 "$code/self-test.log" >&2
        die "$version cannot analyse a photo here, and does not take over: $code/self-test.log"
    }
}

as_service_user() {
    if [ -n "$for_user" ]; then
        "$@"
    else
        setpriv --reuid=holdcheck --regid=holdcheck --clear-groups --no-new-privs "$@"
    fi
}

# Each of the two links is exchanged in one step; a cut between them leaves a version to go back to.
point() {
    rm -f "$prefix/$1.new"
    ln -s "$2" "$prefix/$1.new"
    mv -T "$prefix/$1.new" "$prefix/$1"
}

switch_to() {
    before=$(readlink "$prefix/current" || true)
    [ "$before" != "$1" ] || return 0
    [ -z "$before" ] || point previous "$before"
    point current "$1"
    say "$1 is the current version${before:+, $before the one before}"
}

remove_older() {
    for old in "$prefix"/*/bundle.txt; do
        old=$(dirname "$old")
        case ${old##*/} in
            current | previous | "$(readlink "$prefix/current" || true)" | "$(readlink "$prefix/previous" || true)") ;;
            *) rm -rf "$old" && say "removed ${old##*/}" ;;
        esac
    done
}

# --- the service ---------------------------------------------------------------------------------------------------

install_unit() {
    [ -n "$with_systemd" ] || return 0
    sed "s,/opt/holdcheck/,$prefix/,g" "$prefix/current/holdcheck.service" >"$unit.new"
    mv "$unit.new" "$unit"
    [ -z "$memory" ] || {
        mkdir -p "$unit.d"
        printf '[Service]\nMemoryMax=%s\n' "$memory" >"$unit.d/memory.conf"
    }
    systemctl daemon-reload
    systemctl --quiet enable holdcheck
}

start() {
    if [ -z "$with_systemd" ]; then
        say_how_to_start
        return
    fi
    systemctl restart holdcheck
    say "waiting until the models are loaded"
    (cd "$state" && "$prefix/current/venv/bin/python" -I - "$(systemctl show holdcheck --property MainPID --value)") <<'PYTHON' || failed_start
import os, sys, time, urllib.error, urllib.request
from backend.settings import ServiceSettings
settings = ServiceSettings.load()
host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
url = f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
for _ in range(240):
    if not os.path.exists(f"/proc/{sys.argv[1]}"):
        break
    try:
        opener.open(f"{url}/readyz", timeout=10)
        sys.exit(print(f"holdcheck: ready on {url}"))
    except OSError:
        time.sleep(0.25)
sys.exit(1)
PYTHON
}

failed_start() {
    journalctl --unit holdcheck --lines 10 --no-pager --output cat >&2 || true
    die "the service does not get ready. \`journalctl -u holdcheck\` tells more; \`sh $prefix/current/install.sh" \
        "--rollback\` goes back to $(readlink "$prefix/previous" || echo "an earlier version, once there is one")"
}

say_how_to_start() {
    say "settings: $settings"
    run="$prefix/current/venv/bin/python -I -m backend"
    if [ -n "$for_user" ]; then
        say "to start it: cd $state && $run"
    else
        say "to start it: cd $state && setpriv --reuid=holdcheck --regid=holdcheck --clear-groups --no-new-privs $run"
    fi
}

# --- the three things to do ----------------------------------------------------------------------------------------

install_all() {
    check_bundle
    check_machine
    choose_python
    install_code
    install_settings
    install_models
    make_user
    test_code
    switch_to "$version"
    install_unit
    start
    remove_older
}

roll_back() {
    earlier=$(readlink "$prefix/previous") || die "there is no earlier version in $prefix"
    [ -f "$prefix/$earlier/INSTALLED" ] || die "$prefix/$earlier is not whole"
    switch_to "$earlier"
    install_unit
    start
}

uninstall() {
    [ -z "$with_systemd" ] || [ ! -e "$unit" ] || systemctl --quiet disable --now holdcheck
    [ -n "$for_user" ] || rm -f "$unit"
    [ -z "$with_systemd" ] || systemctl daemon-reload
    for code in "$prefix"/*/bundle.txt; do
        [ ! -e "$code" ] || [ -L "$(dirname "$code")" ] || rm -rf "$(dirname "$code")"
    done
    rm -f "$prefix/current" "$prefix/previous"
    if [ -n "$purge" ]; then
        rm -rf "$state/data" "$state/models" "$settings" "$state/.env"
        [ -n "$for_user" ] || {
            rm -rf "$unit.d"
            rmdir "$state" "$(dirname "$settings")" 2>/dev/null || true
            ! id holdcheck >/dev/null 2>&1 || userdel holdcheck
        }
        say "removed, with data, models and settings"
    else
        say "removed; data and models stay in $state, settings in $settings (--uninstall --purge removes them)"
    fi
    rmdir "$prefix" 2>/dev/null || true
}

main() {
    here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
    read_options "$@"
    choose_places
    case $action in
        install) install_all ;;
        rollback) roll_back ;;
        uninstall) uninstall ;;
    esac
}

main "$@"
