"""A client of the service: deadlines, retries where they do no harm, pages, results to pandas.

    with connect("registry.example:50051", token=token, ca=Path("ca.crt")) as client:
        answer = client.score_pair(graftmatch_pb2.ScorePairRequest(patient=..., donor=...))

It needs the generated messages and gRPC, and nothing of the server.
"""

from service.client.calls import Client, connect, pages
from service.client.frames import columns_frame, frame, stream_frame

__all__ = ["Client", "columns_frame", "connect", "frame", "pages", "stream_frame"]
