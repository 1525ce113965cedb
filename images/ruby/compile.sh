# Compiles the Ruby of a tarball, for /usr/local, as the official images have it. It runs in the sandbox, in a root that
# has the packages of `compile` in image.toml, without a network.
#
# Given: TARBALL, a file; OUTPUT, the tar to make of what is installed; YJIT, yes or no; JOBS, how many at once. The folder
# that it starts in is empty, has the same name everywhere, and may be written to.
#
# The same input gives the same bytes: nothing of the machine, the hour or the folder goes into what is installed.

set -eu
umask 022
export LC_ALL=C TZ=UTC
folder=$PWD

mkdir source tools root
tar --extract --file "$TARBALL" --directory source --strip-components 1 --no-same-owner --no-same-permissions
cd source
# Extensions for tests alone, which would be compiled too.
rm -rf ext/-test- spec
# What has a time has that of the release.
SOURCE_DATE_EPOCH=$(stat --format %Y version.h)
export SOURCE_DATE_EPOCH

# The compiler maps this folder away by itself: as an option, the map would stand in rbconfig.rb for every extension.
for tool in gcc g++; do
    printf '#!/bin/sh\nexec /usr/bin/%s -ffile-prefix-map=%s=/usr/src/ruby "$@"\n' "$tool" "$PWD" >"$folder/tools/$tool"
    chmod 755 "$folder/tools/$tool"
done
PATH=$folder/tools:$PATH
export RUSTFLAGS="--remap-path-prefix=$PWD=/usr/src/ruby"

case $YJIT in
    yes) yjit=--enable-yjit ;;
    no) yjit=--disable-yjit ;;
esac

# Without debug information, which would be stripped; relocated as a whole before anything runs (full RELRO). A Ruby that
# is there already is not used: there is none.
./configure --prefix=/usr/local --build="$(gcc -dumpmachine)" --with-baseruby=no --enable-shared --disable-install-doc "$yjit" \
    CC=gcc CXX=g++ debugflags= LDFLAGS='-Wl,-z,relro -Wl,-z,now' || { tail -n 50 config.log; exit 1; }
make --jobs="$JOBS"
make install DESTDIR="$folder/root"
# Who hands the program on hands these on too.
install -D --mode 644 --target-directory "$folder/root/usr/local/share/doc/ruby" COPYING BSDL LEGAL

# The logs of what was tried on this machine.
find "$folder/root" '(' -name mkmf.log -o -name gem_make.out ')' -delete
if grep --recursive --files-with-matches --fixed-strings -e "$folder" -e "$(uname -n)" "$folder/root"; then
    echo "these files have the folder or the name of the machine in them" >&2
    exit 1
fi
tar --create --file "$OUTPUT" --directory "$folder/root" --format=gnu --sort=name --mtime="@$SOURCE_DATE_EPOCH" \
    --owner=0 --group=0 --numeric-owner .
