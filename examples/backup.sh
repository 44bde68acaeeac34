#!/bin/sh
# Copies what cannot be made again out of a home folder, also while it is served and imported into.
# Usage: sh examples/backup.sh BIN HOME TARGET, where BIN holds python. TARGET must not exist; it is
# there once everything is in it, for its owner alone. The registry is that of GRAFTMATCH_REGISTRY,
# if it names a folder, or of the home; one in PostgreSQL is copied with pg_dump instead.
set -eu
if [ "$#" -ne 3 ] || [ ! -d "$2" ] || [ -e "$3" ]; then
  echo "usage: sh examples/backup.sh BIN HOME TARGET; HOME must be there, TARGET must not" >&2
  exit 2
fi
bin=$1
home=$2
target=$3
registry=${GRAFTMATCH_REGISTRY:-$home/registry}
umask 077
part=$target.part
rm -rf "$part"
mkdir "$part"
case $registry in
  postgres*://*) echo "the registry is in PostgreSQL: copy it with pg_dump" ;;
  *)
    # A copy of one state: the file alone lacks what is in the write-ahead log.
    if [ -e "$registry/donors.sqlite" ]; then
      mkdir "$part/registry"
      "$bin/python" -c '
import sqlite3, sys
source, target = map(sqlite3.connect, sys.argv[1:])
source.backup(target)
target.close()
' "$registry/donors.sqlite" "$part/registry/donors.sqlite"
    else
      echo "no donors in $registry" >&2
    fi
    ;;
esac
for folder in frequencies models searches; do
  if [ -d "$home/$folder" ]; then
    cp -Rp "$home/$folder" "$part/$folder"
  fi
done
mv "$part" "$target"
echo "in $target: $(ls "$target" | tr '\n' ' ')"
