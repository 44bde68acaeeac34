#!/bin/sh
# Copies what cannot be made again out of a home folder, also while it is served and imported into.
# Usage: sh examples/backup.sh BIN HOME TARGET, where BIN holds python. TARGET must not exist.
# A registry in PostgreSQL is copied with pg_dump instead.
set -eu
bin=$1
home=$2
target=$3
mkdir "$target"
if [ -e "$home/registry/donors.sqlite" ]; then
  mkdir "$target/registry"
  # A copy of one state: the file alone lacks what is in the write-ahead log.
  "$bin/python" -c '
import sqlite3, sys
source, target = map(sqlite3.connect, sys.argv[1:])
source.backup(target)
target.close()
' "$home/registry/donors.sqlite" "$target/registry/donors.sqlite"
fi
for folder in frequencies models searches; do
  if [ -d "$home/$folder" ]; then
    cp -Rp "$home/$folder" "$target/$folder"
  fi
done
