"""A client of the service: python examples/client.py [ADDRESS]. Needs `make serve` running."""

import sys

import grpc

from service.client import Client, connect, frame
from service.pb.graftmatch.v1 import graftmatch_pb2 as pb

PATIENT = (
    "A*01:01+A*02:01^B*08:01+B*44:02^C*07:01+C*05:01"
    "^DRB1*03:01+DRB1*04:01^DQB1*02:01+DQB1*03:01^DPB1*04:01+DPB1*03:01"
)


def show(client: Client) -> None:
    request = pb.SearchDonorsRequest(patient=PATIENT, max_mismatches=1, limit=5)
    for batch in client.search_donors(request):
        print(f"{batch.found} donors, release {batch.provenance.release}")
        table = frame(batch.candidates)
        table["letters"] = [
            " ".join(locus.positions for locus in candidate.comparison.loci)
            for candidate in batch.candidates
        ]
        print(table[["rank", "donor", "comparison.p10", "letters"]].to_string(index=False))

    factors = {
        "donor_age_years": pb.FactorValue(number=28),
        "graft_source": pb.FactorValue(level="PB"),
    }
    for risk in client.predict_risk(pb.PredictRiskRequest(factors=factors)).outcomes:
        print(f"{risk.outcome}: {risk.probability:.2f} ({risk.low:.2f} to {risk.high:.2f})")


# Without TLS, as the server of `make serve` is for this machine alone.
address = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:50051"
with connect(address, insecure=True) as opened:
    try:
        show(opened)
    except grpc.RpcError as error:
        sys.exit(f"{address}: {error.code().name}: {error.details()}")
