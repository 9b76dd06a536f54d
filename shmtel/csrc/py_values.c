/* SPDX-License-Identifier: Apache-2.0
 *
 * What stands in the maps of a record, as objects of Python; py_decoder.h says what
 * is promised.
 */
#include "py_decoder.h"

/* -- text ----------------------------------------------------------------------- */

/* The first and the last eight bytes of a text; of a shorter one the same twice.
 * Eight bytes may be read before any text, and before that of an object. */
struct ends {
    uint64_t first, last;
};

static inline struct ends ends_of(const uint8_t *at, uint32_t length)
{
    uint64_t last = msgpack_load64(at + length - 8);
    if (length >= 8)
        return (struct ends){msgpack_load64(at), last};
    last >>= 64 - 8 * length;
    return (struct ends){last, last};
}

static inline uint32_t hash_of(struct ends ends, uint32_t length)
{
    uint64_t mixed = ends.first ^ (ends.last << 23 | ends.last >> 41) ^ length;
    return (uint32_t)((mixed * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - TEXTS_LOG2));
}

static inline bool is_text(PyObject *known, const uint8_t *at, uint32_t length,
                           struct ends ends)
{
    if (PyUnicode_GET_LENGTH(known) != length)
        return false;
    const uint8_t *text = PyUnicode_1BYTE_DATA(known);
    struct ends found = ends_of(text, length);
    return found.first == ends.first && found.last == ends.last &&
           (length <= 16 || memcmp(text + 8, at + 8, length - 16) == 0);
}

PyObject *decoder_text(const uint8_t *at, uint32_t length)
{
    if (!msgpack_is_ascii_inside(at, length))
        return PyUnicode_DecodeUTF8((const char *)at, length, NULL);
    PyObject *text = PyUnicode_New(length, 0x7f);
    if (text != NULL)
        memcpy(PyUnicode_1BYTE_DATA(text), at, length);
    return text;
}

/* Of a text of 1 to TEXT_MAX bytes. */
static PyObject *known_text(struct texts *texts, const uint8_t *at, uint32_t length)
{
    struct ends ends = ends_of(at, length);
    PyObject **place = &texts->known[hash_of(ends, length)];
    if (*place != NULL && is_text(*place, at, length, ends))
        return Py_NewRef(*place);
    PyObject *text = decoder_text(at, length);
    if (text != NULL && PyUnicode_IS_ASCII(text))
        Py_XSETREF(*place, Py_NewRef(text));
    return text;
}

static inline const uint8_t *read_text(struct texts *texts, const uint8_t *at,
                                       const uint8_t *end, PyObject **text)
{
    uint32_t length;
    const uint8_t *after = msgpack_take_text(at, end, UINT32_MAX, &length);
    if (after == NULL)
        return NULL;
    *text = length - 1u < TEXT_MAX ? known_text(texts, after - length, length)
                                   : decoder_text(after - length, length);
    return *text == NULL ? NULL : after;
}

/* -- other values ---------------------------------------------------------------- */

static PyObject *new_float32(const uint8_t *at)
{
    uint32_t bits = (uint32_t)decoder_big_endian(at, 4);
    float value;
    memcpy(&value, &bits, sizeof value);
    return PyFloat_FromDouble((double)value);
}

static PyObject *new_float64(const uint8_t *at)
{
    uint64_t bits = decoder_big_endian(at, 8);
    double value;
    memcpy(&value, &bits, sizeof value);
    return PyFloat_FromDouble(value);
}

/* Of a number that is all there. */
static PyObject *new_number(const uint8_t *at)
{
    switch (*at) {
    case 0xca:
        return new_float32(at + 1);
    case 0xcb:
        return new_float64(at + 1);
    case 0xcc:
        return PyLong_FromLong(at[1]);
    case 0xcd:
        return PyLong_FromLong((long)decoder_big_endian(at + 1, 2));
    case 0xce:
        return PyLong_FromLong((long)decoder_big_endian(at + 1, 4));
    case 0xcf:
        return PyLong_FromUnsignedLongLong(decoder_big_endian(at + 1, 8));
    case 0xd0:
        return PyLong_FromLong((int8_t)at[1]);
    case 0xd1:
        return PyLong_FromLong((int16_t)decoder_big_endian(at + 1, 2));
    case 0xd2:
        return PyLong_FromLong((int32_t)decoder_big_endian(at + 1, 4));
    case 0xd3:
        return PyLong_FromLongLong((int64_t)decoder_big_endian(at + 1, 8));
    default:
        return PyLong_FromLong((int8_t)*at);
    }
}

static inline const uint8_t *read_number(const uint8_t *at, const uint8_t *end,
                                         PyObject **number)
{
    const uint8_t *after = msgpack_take_number(at, end);
    if (after == NULL || (*number = new_number(at)) == NULL)
        return NULL;
    return after;
}

static const uint8_t *read_binary(const uint8_t *at, const uint8_t *end,
                                  PyObject **binary)
{
    uint32_t size;
    at = msgpack_enter(at, end, MSGPACK_BINARY, &size);
    if (at == NULL || size > msgpack_between(at, end))
        return NULL;
    *binary = PyBytes_FromStringAndSize((const char *)at, size);
    return *binary == NULL ? NULL : at + size;
}

static PyObject *constant(uint8_t byte)
{
    return Py_NewRef(byte == MSGPACK_NIL ? Py_None : byte == 0xc2 ? Py_False : Py_True);
}

static const uint8_t *read_array(struct texts *texts, const uint8_t *at,
                                 const uint8_t *end, unsigned depth, PyObject **array);

/* A value inside `depth` containers. */
static inline const uint8_t *read_value(struct texts *texts, const uint8_t *at,
                                        const uint8_t *end, unsigned depth,
                                        PyObject **value)
{
    if (at == end)
        return NULL;
    switch (msgpack_forms[*at].kind) {
    case MSGPACK_STRING:
        return read_text(texts, at, end, value);
    case MSGPACK_NUMBER:
        return read_number(at, end, value);
    case MSGPACK_CONSTANT:
        *value = constant(*at);
        return at + 1;
    case MSGPACK_BINARY:
        return read_binary(at, end, value);
    case MSGPACK_ARRAY:
        return read_array(texts, at, end, depth + 1, value);
    case MSGPACK_MAP:
        return decoder_read_map(texts, at, end, depth + 1, value);
    default:
        return NULL;
    }
}

static inline const uint8_t *give_up(PyObject **object)
{
    Py_CLEAR(*object);
    return NULL;
}

/* One more pair; depth 0: the value is a number. */
static inline const uint8_t *read_pair(struct texts *texts, const uint8_t *at,
                                       const uint8_t *end, unsigned depth,
                                       PyObject *map)
{
    PyObject *key = NULL, *value = NULL;
    at = read_text(texts, at, end, &key);
    if (at != NULL)
        at = depth == 0 ? read_number(at, end, &value)
                        : read_value(texts, at, end, depth, &value);
    if (at != NULL && PyDict_SetItem(map, key, value) < 0)
        at = NULL;
    Py_XDECREF(key);
    Py_XDECREF(value);
    return at;
}

const uint8_t *decoder_read_map(struct texts *texts, const uint8_t *at,
                                const uint8_t *end, unsigned depth, PyObject **map)
{
    uint32_t count;
    at = msgpack_enter(at, end, MSGPACK_MAP, &count);
    if (at == NULL || depth > RING_DEPTH_MAX || (*map = PyDict_New()) == NULL)
        return NULL;
    for (; at != NULL && count > 0; count--)
        at = read_pair(texts, at, end, depth, *map);
    return at == NULL ? give_up(map) : at;
}

/* A count that lies costs nothing: the list grows as its elements are found. */
static const uint8_t *read_array(struct texts *texts, const uint8_t *at,
                                 const uint8_t *end, unsigned depth, PyObject **array)
{
    uint32_t count;
    at = msgpack_enter(at, end, MSGPACK_ARRAY, &count);
    if (at == NULL || depth > RING_DEPTH_MAX || (*array = PyList_New(0)) == NULL)
        return NULL;
    for (; at != NULL && count > 0; count--) {
        PyObject *value = NULL;
        at = read_value(texts, at, end, depth, &value);
        if (at != NULL && PyList_Append(*array, value) < 0)
            at = NULL;
        Py_XDECREF(value);
    }
    return at == NULL ? give_up(array) : at;
}
