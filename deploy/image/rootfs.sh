#!/bin/sh
# Copies the files that Debian packages put on the machine into a folder that becomes an image's root.
#
#   rootfs.sh FOLDER PACKAGE...
#
# Left out is what a program without a shell cannot use: translations, manuals, converters of character sets.
# `var/lib/dpkg/status.d` says which packages they are, so that scanners of vulnerabilities know.
set -eu

root=$1
shift

mkdir -p "$root/usr/bin" "$root/usr/lib" "$root/usr/lib64" "$root/usr/sbin" "$root/etc/ssl/certs" "$root/var/lib/dpkg/status.d"
for folder in bin lib lib64 sbin; do ln -s "usr/$folder" "$root/$folder"; done

for package; do
  dpkg-query --status "$package" >"$root/var/lib/dpkg/status.d/$package"
  dpkg-query --listfiles "$package" | while read -r file; do
    case $file in
      */gconv/* | */locale/* | */man/* | */audit/* | */lintian/* | /usr/share/ca-certificates/* | /usr/sbin/*) continue ;;
      /usr/share/doc/*/copyright | /usr/share/doc/libstdc++6 | /usr/share/doc/libgcc-s1) ;;
      /usr/share/doc/* | /etc/update-motd.d/* | /etc/ca-certificates/*) continue ;;
    esac
    if [ -f "$file" ] || [ -L "$file" ]; then
      mkdir -p "$root$(dirname "$file")"
      [ -e "$root$file" ] || cp -dp "$file" "$root$file"
    fi
  done
done

# The authorities of the package alone: the machine that builds may trust more.
cat /usr/share/ca-certificates/mozilla/*.crt >"$root/etc/ssl/certs/ca-certificates.crt"

cat >"$root/etc/passwd" <<'PASSWD'
root:x:0:0:root:/:/sbin/nologin
speech-flow:x:10001:0:speech-flow:/:/sbin/nologin
PASSWD
printf 'root:x:0:\n' >"$root/etc/group"
printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
mkdir -p "$root/etc/speech-flow" "$root/proc" "$root/sys" "$root/dev"
# Whoever runs it may write to an empty volume, which takes its mode from the folder here.
mkdir -p "$root/tmp" "$root/models" "$root/leases"
chmod 1777 "$root/tmp" "$root/models" "$root/leases"
