"""The events of calls to the service of grpc_shop, as `told` gives them."""

OPENED = ["start", "opened"]
SENT_3, RECEIVED_3 = (
    [f"{way} {number}" for number in range(3)] for way in ("sent", "received")
)

# kind: the events of the client, and of the server, of a call that goes well
GOOD = {
    "unary_unary": (["start", "stop OK"], ["start", "stop OK"]),
    "unary_stream": (
        [*OPENED, *RECEIVED_3, "closed OK 1/3", "stop OK"],
        [*OPENED, *SENT_3, "closed OK 3/1", "stop OK"],
    ),
    "stream_unary": (
        [*OPENED, *SENT_3, "closed OK 3/1", "stop OK"],
        [*OPENED, *RECEIVED_3, "closed OK 1/3", "stop OK"],
    ),
    "stream_stream": (
        [*OPENED, *RECEIVED_3, *SENT_3, "closed OK 3/3", "stop OK"],
        [*OPENED, *RECEIVED_3, *SENT_3, "closed OK 3/3", "stop OK"],
    ),
}

RPC_ERROR = "shmtel.contrib.grpc.RpcError"
RPC_CANCELLED = "shmtel.contrib.grpc.RpcCancelled"
CANCELLED = f"exception CANCELLED {RPC_CANCELLED}"
_NOT_FOUND = f"exception NOT_FOUND {RPC_ERROR}"

# What the request asks for: the end that the client tells, and the server.
BAD = {
    b"raise": (
        f"exception UNKNOWN {RPC_ERROR}",
        "exception UNKNOWN support.grpc_shop.Broken",
    ),
    b"abort": (_NOT_FOUND, _NOT_FOUND),
    b"set": (_NOT_FOUND, _NOT_FOUND),
}
