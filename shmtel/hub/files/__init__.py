"""Files of events: the one that is written, and those that it was before.

    events.jsonl              the file that is written
    events.000017.jsonl       rotated; later numbers are newer
    events.000016.jsonl.gz    the same, in another form
    events.000015.parquet

A file is rotated by a rename, between two batches, so each holds whole lines. What
else becomes of it (another form, its removal) happens beside the stream of events,
and in steps that can be cut off anywhere: a file in another form takes the place of
the rotated one when it is complete.

Rules:
- nothing here knows of streams or acks; `shmtel.hub.jsonlines` is the sink.
"""
