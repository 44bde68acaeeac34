#!/bin/sh
# The main job on embedded demo data: simulate, import, search, risk, allocation, report, service.
# Usage: sh examples/demo.sh BIN, where BIN holds graftmatch and python. Everything lands in .demo.
set -eu
bin=$1
gm=$bin/graftmatch
GRAFTMATCH_HOME=.demo
export GRAFTMATCH_HOME
rm -rf .demo
patient='A*01:01+A*02:01^B*08:01+B*44:02^C*07:01+C*05:01^DRB1*03:01+DRB1*04:01^DQB1*02:01+DQB1*03:01^DPB1*04:01+DPB1*03:01'

echo "1. 20,000 simulated donors and 50 patients (synthetic frequencies, no population)"
"$gm" registry simulate --release demo --donors 20000 --patients 50 --frequencies demo --seed 1 --out .demo/simulated
"$gm" registry import .demo/simulated/donors.csv --release demo

echo
echo "2. One patient: every donor with at most one mismatch, the first eight"
"$gm" match --patient "$patient" --release demo --as-of 2026-01-01 --limit 8

echo
echo "3. A risk model trained on a synthetic cohort (no one's outcome), evaluated, put in use"
"$gm" risk simulate --out .demo/cohort.csv --transplants 2000 --seed 1
"$gm" risk simulate --out .demo/other.csv --transplants 1000 --seed 2
"$gm" risk train --cohort .demo/cohort.csv --group centre --out .demo/model --name demo-synthetic --folds 5 \
  --no-challenger | sed -n '/cgvhd/,$p'
"$gm" risk evaluate --model .demo/model --cohort .demo/other.csv --recalibrate intercept | sed -n '/cgvhd/,$p'
"$gm" risk compare .demo/model current --cohort .demo/other.csv
"$gm" risk promote .demo/model
"$gm" risk predict --set donor_age_years=45 --set sex_match=F-M --set hla_match=10/10 | sed -n '/cgvhd/,$p'

echo
echo "4. All patients at once: search, probabilities, risks, ranks, one allocation, and the report"
"$gm" batch .demo/simulated/patients.csv --release demo --as-of 2026-01-01 --out .demo/batch
"$gm" match --patients .demo/simulated/patients.csv --release demo --as-of 2026-01-01 --limit 8
"$gm" typing-plan .demo/batch/candidates.parquet --budget 50 --out .demo/requests.csv
"$gm" report .demo/batch --plan .demo/requests.csv --out .demo/report.html

echo
echo "5. The service on a free port, and a client"
"$gm" serve --release demo --port 0 > .demo/server.log 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null || true' EXIT
tries=0
until grep -q '^serving on ' .demo/server.log; do
  tries=$((tries + 1))
  if [ "$tries" -gt 300 ] || ! kill -0 "$server" 2>/dev/null; then
    cat .demo/server.log
    exit 1
  fi
  sleep 0.1
done
"$bin/python" examples/client.py "$(sed -n 's/^serving on \([^ ]*\) .*/\1/p' .demo/server.log)"
kill "$server"
wait "$server" || true
trap - EXIT

echo
echo "What to try next, in this folder:"
echo "  open .demo/report.html in a browser      # the report of step 4"
echo "  export GRAFTMATCH_HOME=.demo PATH=$(cd "$bin" && pwd):\$PATH"
echo "  graftmatch match --patients .demo/simulated/patients.csv --release demo --max-mismatches 2 --out donors.csv"
echo "  graftmatch reference install 3.58.0      # the real nomenclature, from its public repository"
echo "  graftmatch registry import --help        # your own donors"
