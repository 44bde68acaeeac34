#!/bin/sh
# The service from the shell, by its reflection: sh examples/client.sh [ADDRESS] [BUF].
# Needs `make serve` running and buf, which `make setup` puts into .venv/bin.
set -eu

url="http://${1:-127.0.0.1:50051}"
buf="${2:-.venv/bin/buf}"
service="$url/graftmatch.v1.GraftMatchService"
patient='A*01:01+A*02:01^B*08:01+B*44:02^DRB1*03:01+DRB1*04:01'

call() {
  "$buf" curl --protocol grpc --http2-prior-knowledge "$@"
}

call --data '{}' "$url/grpc.health.v1.Health/Check"
call --data "{\"typing\": \"$patient\"}" "$service/ParseTyping"
# With a token over TLS: --cacert ca.crt --header "authorization: Bearer $TOKEN" and https.
call --data "{\"patient\": \"$patient\", \"donor\": \"$patient\"}" "$service/ScorePair"
call --data "{\"patient\": \"$patient\", \"loci\": [\"A\", \"B\", \"DRB1\"], \"limit\": 2}" \
  "$service/SearchDonors"
