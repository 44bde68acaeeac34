"""A client of the service: python examples/client.py [ADDRESS]. Needs `make serve` running."""

import sys

import grpc

from service.pb.graftmatch.v1 import graftmatch_pb2 as pb
from service.pb.graftmatch.v1 import graftmatch_pb2_grpc

PATIENT = (
    "A*01:01+A*02:01^B*08:01+B*44:02^C*07:01+C*05:01"
    "^DRB1*03:01+DRB1*04:01^DQB1*02:01+DQB1*03:01^DPB1*04:01+DPB1*03:01"
)

address = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:50051"
with grpc.insecure_channel(address) as channel:
    service = graftmatch_pb2_grpc.GraftMatchServiceStub(channel)

    request = pb.SearchDonorsRequest(patient=PATIENT, max_mismatches=1, limit=5)
    for batch in service.SearchDonors(request):
        print(f"{batch.found} donors, release {batch.provenance.release}")
        for candidate in batch.candidates:
            compared = candidate.comparison
            p10 = f"{compared.p10:.3f}" if compared.HasField("p10") else "unknown"
            letters = " ".join(locus.positions for locus in compared.loci)
            print(f"{candidate.rank}. {candidate.donor}: {letters}, P(10/10) {p10}")

    factors = {
        "donor_age_years": pb.FactorValue(number=28),
        "graft_source": pb.FactorValue(level="PB"),
    }
    for risk in service.PredictRisk(pb.PredictRiskRequest(factors=factors)).outcomes:
        print(f"{risk.outcome}: {risk.probability:.2f} ({risk.low:.2f} to {risk.high:.2f})")
