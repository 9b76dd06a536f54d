/* SPDX-License-Identifier: Apache-2.0
 *
 * An event as the array of a record, wherever the array is to stand: in the ring
 * (py_worker.c), or in bytes for another backend (py_divert.c). The layout is
 * that of A RECORD in ring_layout.h; the rule is that of py_encode.h.
 */
#ifndef SHMTEL_PY_RECORD_H
#define SHMTEL_PY_RECORD_H

#include "py_attempt.h"
#include "py_encode.h"

/* A correlation ID as bytes: the string's own where it is ASCII. */
struct text {
    const uint8_t *bytes; /* NULL: none */
    size_t length;
    uint8_t buffer[RING_CORRELATION_MAX];
};

static inline enum step read_correlation(PyObject *id, struct text *text,
                                         bool *is_valid)
{
    *is_valid = true;
    text->bytes = NULL;
    if (id == Py_None)
        return STEP_DONE;
    if (!PyUnicode_CheckExact(id))
        return STEP_NOT_PLAIN;
    Py_ssize_t length = encode_utf8_length(id);
    if (length < 0)
        return STEP_NOT_PLAIN;
    if (length > (Py_ssize_t)RING_CORRELATION_MAX) {
        *is_valid = false;
        return STEP_DONE;
    }
    text->length = (size_t)length;
    text->bytes = text->buffer;
    if (PyUnicode_IS_COMPACT_ASCII(id))
        text->bytes = PyUnicode_DATA(id);
    else
        encode_utf8(text->buffer, id, text->length);
    return STEP_DONE;
}

/* The fields at constant offsets; see A RECORD in ring_layout.h. */
static inline void put_head(uint8_t *array, const struct attempt *attempt)
{
    const struct worker_event *event = attempt->event;
    uint64_t timestamp_ns = event->timestamp_ns != 0 ? event->timestamp_ns
                                                     : worker_clock_ns(CLOCK_REALTIME);
    array[0] = 0x98;
    array[1] = 0xcd;
    msgpack_store16(array + RING_ARRAY_EVENT_ID, (uint16_t)attempt->event_id);
    array[4] = 0xcf;
    msgpack_store64(array + RING_ARRAY_SEQ, worker.producer.committed + 1);
    array[13] = 0xcf;
    msgpack_store64(array + RING_ARRAY_TIMESTAMP, timestamp_ns);
    array[22] = 0xce;
    msgpack_store32(array + RING_ARRAY_THRESHOLD, event->threshold);
}

static inline bool put_span(struct msgpack_writer *writer,
                            const struct worker_event *event)
{
    if (event->span_id == 0 && event->parent_id == 0)
        return msgpack_put_nil(writer);
    if (msgpack_room(writer) < 18)
        return false;
    writer->at[0] = 0xc4;
    writer->at[1] = 16;
    msgpack_store64(writer->at + 2, event->span_id);
    msgpack_store64(writer->at + 10, event->parent_id);
    writer->at += 18;
    return true;
}

static inline enum encode_result put_measurements(struct msgpack_writer *writer,
                                                  const struct worker_event *event)
{
    if (event->measurements != NULL)
        return encode_measurements(writer, event->measurements);
    ENCODE_TRY(
        msgpack_put_map(writer, 1) &&
        msgpack_put_str(writer, (const uint8_t *)event->key, strlen(event->key)) &&
        msgpack_put_int(writer, event->value));
    return ENCODE_OK;
}

static inline enum encode_result put_array(struct msgpack_writer *writer,
                                           const struct attempt *attempt,
                                           const struct text *correlation)
{
    const struct worker_event *event = attempt->event;
    enum encode_result result;
    ENCODE_TRY(msgpack_room(writer) >= RING_ARRAY_MIN);
    put_head(writer->at, attempt);
    writer->at += RING_ARRAY_HEAD;
    ENCODE_TRY(correlation->bytes == NULL
                   ? msgpack_put_nil(writer)
                   : msgpack_put_str(writer, correlation->bytes, correlation->length));
    RING_POINT(record_encoding);
    if ((result = put_measurements(writer, event)) != ENCODE_OK ||
        (result = encode_metadata(writer, event->metadata)) != ENCODE_OK)
        return result;
    ENCODE_TRY(put_span(writer, event));
    return ENCODE_OK;
}

#endif
