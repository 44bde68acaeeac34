"""Requests that are no requests: random bytes, wrong wire types, huge texts, deep nesting.

The calls are those of the descriptors. Most requests go to the handlers as gRPC would hand them
over, behind the interceptor; some go over a channel.
"""

from __future__ import annotations

import asyncio
import random
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message_factory import GetMessageClass

from data.nomenclature import DEMO_RELEASE
from service.answering import Answering
from service.config import Settings
from service.pb.graftmatch.v1 import antibodies_pb2 as ab
from service.pb.graftmatch.v1 import cord_pb2, jobs_pb2, prediction_pb2
from service.pb.graftmatch.v1 import family_pb2 as fp
from service.pb.graftmatch.v1 import graftmatch_pb2 as pb
from service.security.access import PROTOS, SERVICE_OF
from service.server.interceptor import CallInterceptor
from service.server.running import _register
from service.server_settings import serve_settings
from service.snapshot import load_snapshot
from tests.service.serving import PATIENT

METHODS = {
    method.name: method
    for proto in PROTOS
    for service in proto.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
TEXTS = (
    *("", "A", "donors/1", "jobs/1", "2026-01-01", "demo", "x" * 40, "\x00", "é"),
    *(PATIENT, "A*01:01+A*02:01", "A*99:99+A*02:01", "00000000-0000-0000-0000-000000000000"),
    *("A*02:01", "male"),
)
NUMBERS = (0, 1, 2, 7, 1000, 2**31 - 1)
FLOATS = (0.0, 0.5, 1.0, -1.0, 40.0, 1e300, float("nan"), float("inf"))
REPORT = ab.AntibodyReport(
    beads=[
        ab.AntibodyBead(antigen_or_allele="A*02:01", mfi=9000, date="2026-01-31", kit="LSA"),
        ab.AntibodyBead(antigen_or_allele="DQB1*03:01", mfi=10),
        ab.AntibodyBead(antigen_or_allele="Bw4", result=ab.CROSSMATCH_ANSWER_NEGATIVE),
    ],
    cumulative_mfi_cut_off=9500,
)
SEARCH = pb.SearchDonorsRequest(
    patient=PATIENT,
    max_mismatches=2,
    patient_facts=pb.PatientFacts(weight_kg=70, age_years=40),
    antibodies=ab.SearchAntibodies(
        report=REPORT,
        exclude_positive=True,
        kept=[ab.KeptDonor(donor="D00000001", reason="no other")],
    ),
    donors=pb.DonorCriteria(min_age_years=20),
    limit=20,
)
UNITS = pb.SearchDonorsRequest(
    patient=PATIENT,
    cord=cord_pb2.CordSearch(rule=cord_pb2.CORD_RULE_EIGHT, max_mismatches=4),
    patient_facts=pb.PatientFacts(weight_kg=70),
    antibodies=ab.SearchAntibodies(report=REPORT),
)
FAMILY = [
    fp.FamilyMember(id="F", sex="male", birth_date="1960-01-01"),
    fp.FamilyMember(id="M", typing=PATIENT),
    fp.FamilyMember(id="P", father="F", mother="M", typing=PATIENT, birth_date="1990-01-01"),
    fp.FamilyMember(id="S", father="F", mother="M", typing="A*01:01+A*02:01"),
]
# Requests that are answered, which are changed a little.
VALID: Mapping[str, Any] = {
    "SearchDonors": SEARCH,
    "StreamCandidates": pb.StreamCandidatesRequest(search=SEARCH),
    "CrossmatchDonors": ab.CrossmatchDonorsRequest(
        report=REPORT,
        patient=PATIENT,
        donors=[
            ab.DonorToCrossmatch(identifier="D00000001"),
            ab.DonorToCrossmatch(person=prediction_pb2.TypedPerson(typing=PATIENT)),
        ],
    ),
    "AnalyseFamily": fp.AnalyseFamilyRequest(
        members=FAMILY,
        patient="P",
        loci=["A", "B"],
        rule=fp.HaploidenticalRule(keys=["class", "age"], age_step_years=5),
        with_frequencies=True,
    ),
    "SearchUnitPairs": pb.SearchUnitPairsRequest(
        search=UNITS, rule=cord_pb2.UnitPairRule(min_tnc_1e7_per_kg=2), page_size=10
    ),
    "SearchStrata": pb.SearchStrataRequest(
        search=pb.SearchDonorsRequest(
            patient=PATIENT, max_mismatches=1, antibodies=ab.SearchAntibodies(report=REPORT)
        ),
        strata=[
            pb.StratumOrder(stratum=pb.STRATUM_RELATED, rule=fp.HaploidenticalRule(keys=["class"])),
            pb.StratumOrder(stratum=pb.STRATUM_ADULT, rank_keys=["age"]),
            pb.StratumOrder(stratum=pb.STRATUM_CORD),
        ],
        cord_rule=cord_pb2.CORD_RULE_SIX,
        family=FAMILY,
        patient_id="P",
    ),
    "SubmitJob": jobs_pb2.SubmitJobRequest(
        search=pb.SearchDonorsRequest(max_mismatches=1, limit=5),
        list=jobs_pb2.PatientList(patients=[jobs_pb2.Patient(id="P", typing=PATIENT)]),
        antibodies=jobs_pb2.JobAntibodies(
            file=b"patient,antigen_or_allele,mfi\nP,A*02:01,9000\n",
            cumulative_mfi_cut_off=9500,
            exclude_positive=True,
            kept=[ab.KeptDonor(donor="D00000001", reason="no other")],
        ),
        strata=[
            pb.StratumOrder(stratum=pb.STRATUM_ADULT, rank_keys=["age"]),
            pb.StratumOrder(stratum=pb.STRATUM_CORD),
        ],
        cord_rule=cord_pb2.CORD_RULE_SIX,
    ),
}
OURS = {"INTERNAL", "UNKNOWN", "UNAVAILABLE", "DEADLINE_EXCEEDED"}
AT_ONCE = 32


def value_of(field: FieldDescriptor, rng: random.Random, depth: int) -> Any:
    if field.message_type is not None:
        return made(field.message_type, rng, depth + 1)
    if field.enum_type is not None:
        return rng.randrange(12)
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        if field.type == FieldDescriptor.TYPE_BYTES:
            return rng.randbytes(rng.randrange(100))
        return rng.choice(TEXTS)
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return rng.random() < 0.5
    if field.cpp_type in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT):
        return rng.choice(FLOATS)
    return rng.choice(NUMBERS)


def made(descriptor: Descriptor, rng: random.Random, depth: int = 0) -> Any:
    """A message with some of its fields."""
    message: Any = GetMessageClass(descriptor)()
    for field in descriptor.fields:
        if depth > 4 or rng.random() < 0.5:
            continue
        count = rng.randrange(3) if field.is_repeated else 1
        for _ in range(count):
            value = value_of(field, rng, depth)
            target = getattr(message, field.name)
            is_message = field.message_type is not None
            if is_message and field.message_type.GetOptions().map_entry:
                if field.message_type.fields_by_name["value"].message_type is not None:
                    target[value.key].CopyFrom(value.value)
                else:
                    target[value.key] = value.value
            elif field.is_repeated:
                target.append(value)
            elif is_message:
                target.CopyFrom(value)
            else:
                setattr(message, field.name, value)
    return message


def near(message: Any, rng: random.Random) -> Any:
    """A message in which one field that is set, at any depth, is another, or not there."""
    changed = type(message)()
    changed.CopyFrom(message)
    inner: Any = changed
    while inner.ListFields():
        field, value = rng.choice(inner.ListFields())
        at = rng.randrange(len(value)) if field.is_repeated else 0
        if field.message_type is not None and rng.random() < 0.8:
            inner = value[at] if field.is_repeated else value
            continue
        if field.message_type is not None or rng.random() < 0.2:
            inner.ClearField(field.name)
        elif field.is_repeated:
            value[at] = value_of(field, rng, 0)
        else:
            setattr(inner, field.name, value_of(field, rng, 0))
        break
    return changed


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def delimited(field: int, data: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(data)) + data


def mutated(method: MethodDescriptor, rng: random.Random) -> bytes:
    """A request that is wrong in one way, or in none."""
    known = VALID.get(method.name)
    if known is None or rng.random() < 0.8:
        message = made(method.input_type, rng)
    else:
        message = near(known, rng)
    data: bytes = message.SerializeToString()
    field = rng.randrange(1, 20)
    kind = rng.randrange(8)
    if kind == 0:
        return rng.randbytes(rng.randrange(200))
    if kind == 1 and data:
        changed = bytearray(data)
        for _ in range(rng.randrange(1, 5)):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        return bytes(changed)
    if kind == 2:
        return data[: rng.randrange(len(data) + 1)]
    if kind == 3:
        return data + varint(field << 3 | rng.randrange(8)) + rng.randbytes(rng.randrange(20))
    if kind == 4 and rng.random() < 0.1:
        letter = rng.choice([b"A", b"+", b"^", b"/", b"|", b"*", b"\xff"])
        return data + delimited(field, letter * rng.randrange(200_000))
    if kind == 5:
        nested = b""
        for _ in range(rng.randrange(1, 200)):
            nested = delimited(field, nested)
        return data + nested
    return data + data if kind == 6 else data


class Handlers:
    """In place of a gRPC server: the handlers that are registered, by method."""

    def __init__(self) -> None:
        self.of: dict[str, Any] = {}

    def add_generic_rpc_handlers(self, _: Any) -> None:
        pass

    def add_registered_method_handlers(self, service: str, handlers: dict[str, Any]) -> None:
        self.of |= {f"/{service}/{name}": handler for name, handler in handlers.items()}


class Context:
    """In place of a call's: how it ended."""

    def __init__(self) -> None:
        self.code = "OK"

    def set_trailing_metadata(self, _: Any) -> None:
        pass

    def trailing_metadata(self) -> tuple[()]:
        return ()

    def time_remaining(self) -> None:
        return None

    async def write(self, message: Any) -> None:
        message.SerializeToString()

    async def abort(self, code: grpc.StatusCode, *_: Any) -> None:
        self.code = code.name
        raise grpc.aio.AbortError


@pytest.fixture
def own_home(home: Path, tmp_path: Path) -> Path:
    """A home that may be changed."""
    return Path(shutil.copytree(home, tmp_path / "home"))


def rss_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def endings(home: Path, count: int, seed: int) -> tuple[dict[str, Counter[str]], list[float]]:
    """How so many requests of each call ended, and the memory after each tenth."""
    settings = serve_settings(port=0)
    memory: list[float] = []
    ended: dict[str, Counter[str]] = {name: Counter() for name in METHODS}

    async def all_of_them() -> None:
        with ThreadPoolExecutor(2) as pool, ThreadPoolExecutor(1) as changing:
            answering = Answering(pool)
            answering.snapshot = load_snapshot(Settings(home=home), DEMO_RELEASE)
            interceptor = CallInterceptor(pool, 10 * AT_ONCE, 60)
            interceptor.ready = True
            handlers = Handlers()
            _register(handlers, answering, changing, settings, None)

            async def one(name: str, data: bytes) -> None:
                method = f"/{SERVICE_OF[name]}/{name}"
                details = SimpleNamespace(method=method, invocation_metadata=())

                async def found(_: Any) -> Any:
                    return handlers.of[method]

                handler, context = await interceptor.intercept_service(found, details), Context()
                request: Any = handler.request_deserializer(data)
                work = handler.unary_unary or handler.unary_stream
                if handler.request_streaming:
                    work, request = handler.stream_unary, once(request)
                try:
                    async with asyncio.timeout(60):
                        await work(request, context)
                except grpc.aio.AbortError:
                    pass
                except TimeoutError:
                    context.code = "DEADLINE_EXCEEDED"
                ended[name][context.code] += 1

            for tenth in range(10):
                for name, method in METHODS.items():
                    rng = random.Random(f"{seed} {tenth} {name}")
                    for begin in range(0, count // 10, AT_ONCE):
                        some = range(min(AT_ONCE, count // 10 - begin))
                        sent = [mutated(method, rng) for _ in some]
                        await asyncio.gather(*(one(name, data) for data in sent))
                memory.append(rss_mib())

    asyncio.run(all_of_them())
    return ended, memory


async def once(item: Any) -> AsyncIterator[Any]:
    yield item


def check(ended: dict[str, Counter[str]], count: int) -> None:
    for name, codes in ended.items():
        assert sum(codes.values()) == count // 10 * 10
        assert not OURS & codes.keys(), (name, codes)
    # Some of them are answered and some refused.
    total = sum(ended.values(), Counter[str]())
    assert {"OK", "INVALID_ARGUMENT", "NOT_FOUND"} <= total.keys()


def test_mutated_requests_are_refused_or_answered(own_home: Path) -> None:
    ended, memory = endings(own_home, 2000, 1)
    check(ended, 2000)
    assert memory[-1] - memory[4] < 100


@pytest.mark.slow
def test_many_mutated_requests_leave_the_memory_as_it_is(own_home: Path) -> None:
    ended, memory = endings(own_home, 100_000, 2)
    check(ended, 100_000)
    assert memory[-1] < 1.05 * memory[2]


def answers(channel: grpc.Channel, path: str, method: MethodDescriptor, data: bytes) -> Any:
    if method.client_streaming:
        return [channel.stream_unary(path)(iter([data]), timeout=30)]
    if method.server_streaming:
        return channel.unary_stream(path)(data, timeout=30)
    return [channel.unary_unary(path)(data, timeout=30)]


def test_bytes_that_are_no_message_over_a_channel(channel: grpc.Channel) -> None:
    for name, method in METHODS.items():
        path, rng = f"/{SERVICE_OF[name]}/{name}", random.Random(name)
        for data in [b"\xff" * 10, b"\x0a\xff", rng.randbytes(50)]:
            with pytest.raises(grpc.RpcError) as refused:
                list(answers(channel, path, method, data))
            assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT, name
