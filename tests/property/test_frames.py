"""Frames of any content come back, and any bytes are a frame or refused."""

from hypothesis import given, settings
from hypothesis import strategies as st

from shmtel.hub.records import Record, decode_segment
from shmtel.policy.model import (
    Filter,
    Layer,
    Policy,
    PolicyStatus,
    Rejection,
    Rule,
    Sampling,
    Selector,
    Toggle,
    Traits,
    WorkerResult,
)
from shmtel.wire import codec, control_codec
from shmtel.wire.errors import RemoteProtocolError
from shmtel.wire.frames import (
    Ack,
    Batch,
    Bye,
    Counters,
    Drain,
    Error,
    Heartbeat,
    Hello,
    HostCounters,
    NamesAdded,
    Rejected,
    ResumePoint,
    RingClosed,
    RingCounters,
    RingOpened,
    Segment,
    SegmentCount,
    Welcome,
    Worker,
    WorkerCounters,
)
from support.frames import COLLECTOR_FRAMES, HUB_FRAMES
from support.uplink import make_segment, pack

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
u32 = st.integers(0, 2**32 - 1)
u64 = st.integers(0, 2**64 - 1)
outcome = st.integers(0, 2**31 - 1)
ring_id = st.binary(min_size=16, max_size=16)
totals = st.dictionaries(outcome, u64, max_size=4)
texts = st.lists(text, max_size=4).map(tuple)


def many(strategy: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    """Return tuples of a few."""
    return st.lists(strategy, max_size=3).map(tuple)


workers = st.builds(Worker, text, text, text, u32, u64, text, text, st.none() | u32)
counters = st.builds(
    WorkerCounters, u64, u64, u64, u64, st.dictionaries(text, u64, max_size=3)
)
segments = st.builds(
    Segment,
    *(u32, u64, u64, u32, st.binary(max_size=40)),
    many(st.builds(SegmentCount, u32, outcome, u64)),
    u64,
)
reasons = st.dictionaries(text, u64, max_size=3)
host_counters = st.builds(
    HostCounters, reasons, reasons, u64, totals, u64, u64, reasons, u64
)
actions = st.one_of(
    st.builds(Toggle, st.booleans()),
    st.builds(Sampling, st.floats(allow_nan=False), texts),
    st.builds(Filter, texts, texts),
    st.none(),
)
globs = text.filter(bool)  # an empty one is read as *
rules = many(
    st.builds(Rule, st.builds(Selector, globs, globs, globs, globs), actions, u64)
)
statuses = st.builds(
    PolicyStatus,
    *(text, u64, st.none() | st.builds(Rejection, u32, text), text, u64),
    many(st.builds(WorkerResult, ring_id, st.builds(Traits, text, text, text), text)),
    *(u32, u64, many(st.builds(Layer, text, rules, st.booleans()))),
)
heartbeats = st.builds(Heartbeat, u64, u64)
collector_frames = st.one_of(
    st.builds(
        Hello, *(u32, u32, text, text, ring_id, u64, u64, text), text, text, u64, u64
    ),
    st.builds(RingOpened, u32, ring_id, workers, u64, totals),
    st.builds(NamesAdded, u32, u32, texts),
    st.builds(
        Batch,
        *(u64, many(segments), many(st.builds(RingClosed, u32, u64, text, counters))),
    ),
    heartbeats,
    statuses,
    st.builds(Bye, text),
    st.builds(
        Counters, many(st.builds(RingCounters, u32, u64, u64, counters)), host_counters
    ),
)
hub_frames = st.one_of(
    st.builds(Welcome, u32, text, u64, u64, u32, outcome),
    st.builds(ResumePoint, u32, u64, totals),
    st.builds(Ack, u64, outcome, u64, many(st.builds(Rejected, u64, u32, text))),
    st.builds(Drain, text, u32, u32),
    st.builds(Policy, u64, rules, text, u64),
    heartbeats,
    st.builds(Error, outcome, text),
)


@given(collector_frames)
def test_collector_frames_come_back(frame: object) -> None:
    """Whatever a collector may say, the hub reads the same."""
    data = codec.encode_collector_frame(frame)  # type: ignore[arg-type]
    assert codec.decode_collector_frame(data) == frame


@given(hub_frames)
def test_hub_frames_come_back(frame: object) -> None:
    """Whatever a hub may say, the collector reads the same."""
    data = codec.encode_hub_frame(frame)  # type: ignore[arg-type]
    assert codec.decode_hub_frame(data) == frame


valid = [codec.encode_collector_frame(frame) for frame in COLLECTOR_FRAMES]
valid += [codec.encode_hub_frame(frame) for frame in HUB_FRAMES]
packed = make_segment(0, 3, metadata={"k": ["v", 1, {"x": b"y"}]}).events


@st.composite
def damaged(draw: st.DrawFn, originals: list[bytes]) -> bytes:
    """Return valid bytes with a piece replaced, cut out, or put in."""
    data = draw(st.sampled_from(originals))
    start = draw(st.integers(0, len(data)))
    end = draw(st.integers(start, min(len(data), start + 8)))
    return data[:start] + draw(st.binary(max_size=8)) + data[end:]


DECODERS = [
    codec.decode_collector_frame,
    codec.decode_hub_frame,
    codec.decode_policy,
    control_codec.decode_change_request,
    control_codec.decode_change_report,
    control_codec.decode_policy_report,
    control_codec.decode_explain_request,
    control_codec.decode_explanations,
    control_codec.decode_list_workers_response,
]


@settings(max_examples=400)
@given(st.one_of(st.binary(max_size=80), damaged(valid)), st.sampled_from(DECODERS))
def test_any_bytes_are_a_frame_or_refused(data: bytes, decode: object) -> None:
    """A decoder returns or raises RemoteProtocolError, and nothing else."""
    try:
        decode(data)  # type: ignore[operator]
    except RemoteProtocolError:
        return


@settings(max_examples=400)
@given(st.one_of(st.binary(max_size=80), damaged([packed])), st.integers(0, 4))
def test_any_bytes_are_records_or_refused(data: bytes, delivered: int) -> None:
    """What is decoded keeps what handlers rely on; the rest is refused."""
    head = pack([None] * delivered)[:5]
    for events in (data, head + data[5:]):
        try:
            records = decode_segment(Segment(1, 0, 9, delivered, events), 1)
        except RemoteProtocolError:
            continue
        assert len(records) == delivered
        assert all(isinstance(record, Record) for record in records)
        assert all(record.event_id == 0 for record in records)
        assert all(0.0 < record.sampling_probability <= 1.0 for record in records)
