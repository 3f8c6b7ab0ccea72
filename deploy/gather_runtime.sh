#!/bin/sh
# Gathers in the folder $1 all that the server needs of the image that this runs in, and no more: the interpreter, the
# packages in /opt/venv, and the shared libraries that these are linked with, of whatever processor this is. No shell,
# no package manager, no pip, no compiler, no tests.
set -eu
root=$1
python=$(readlink -f /opt/venv/bin/python)
library=$("$python" -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
packages=$(/opt/venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')

mkdir -p "$root/tmp" "$root/etc" "$root/usr/bin" "$root/usr/lib"
chmod 1777 "$root/tmp"
for folder in bin lib lib64; do # as Debian has them
  [ ! -L "/$folder" ] || { cp -P "/$folder" "$root/$folder" && mkdir -p "$root/usr/$folder"; }
done
cp -a --parents /opt/venv "$python" "$library" "$root"
for name in python python3; do ln -sf "$python" "$root/opt/venv/bin/$name"; done
# The owner's name, and nothing to log in with.
printf 'root:x:0:0:root:/root:/sbin/nologin\nholdcheck:x:10001:10001::/data:/sbin/nologin\n' >"$root/etc/passwd"
printf 'root:x:0:\nholdcheck:x:10001:\n' >"$root/etc/group"

# Of the standard library: what installs, tests and draws windows.
cd "$root$library"
rm -rf config-* distutils ensurepip idlelib lib2to3 pydoc_data site-packages/* test tkinter turtle.py turtledemo venv
rm -f lib-dynload/_curses* lib-dynload/_test* lib-dynload/_tkinter*
# Of the packages: tests, what builds on NumPy, onnxruntime's tools for making models, and its library for C programs
# (Python's own module has it inside).
cd "$root$packages"
find . -type d \( -name tests -o -name test \) -prune -exec rm -rf {} +
rm -rf numpy/f2py numpy/distutils numpy/_core/include numpy/*/*/lib/*.a pip pip-* setuptools setuptools-* pkg_resources
rm -rf onnxruntime/transformers onnxruntime/tools onnxruntime/quantization onnxruntime/capi/libonnxruntime.so*
find "$root" \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' \) -delete
find "$root" -name __pycache__ -prune -exec rm -rf {} +
# Wheels come with the symbols that a debugger would want.
find . -name '*.so*' -type f -exec strip --strip-unneeded {} +

# What all that is linked with, by the names that the loader asks for.
find "$root" -type f \( -name '*.so*' -o -path "$root$python" \) -exec ldd {} + 2>/dev/null |
  sed -nE 's/.*(=>|^)[[:space:]]*(\/[^ ]+) \(0x.*/\2/p' | grep -v -e "^$root" -e '^/opt/venv' | sort -u |
  while read -r file; do
    # Where /lib is a link to /usr/lib, the file belongs in the latter.
    real=$(readlink -f "$(dirname "$file")")/$(basename "$file")
    mkdir -p "$root$(dirname "$real")"
    [ -e "$root$real" ] || cp -L "$real" "$root$real"
  done
cp -r --parents /etc/ld.so.conf /etc/ld.so.conf.d "$root"
ldconfig -r "$root"
