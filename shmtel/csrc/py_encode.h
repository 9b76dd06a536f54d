/* SPDX-License-Identifier: Apache-2.0
 *
 * Python objects to msgpack, in place, between a ring's reserve and its commit.
 *
 * Rule: nothing here may raise an exception or allocate a Python object. On
 * CPython 3.11 and older a raised exception can run the garbage collector, its
 * callbacks, and so another emit, which would write over the bytes of this one.
 * Hence only exact built-in types are encoded; for everything else the encoder
 * backs out with ENCODE_NOT_PLAIN, and the caller makes the value plain
 * outside and starts again.
 */
#ifndef SHMTEL_PY_ENCODE_H
#define SHMTEL_PY_ENCODE_H

#include "msgpack.h"
#include "py_binding.h"

enum encode_result { ENCODE_OK, ENCODE_NO_ROOM, ENCODE_NOT_PLAIN };

#define ENCODE_TRY(fits)                                                               \
    do {                                                                               \
        if (!(fits))                                                                   \
            return ENCODE_NO_ROOM;                                                     \
    } while (0)

/* Bytes of one code point in UTF-8; 0 for a surrogate, which has no encoding. */
static inline size_t encode_utf8_size(Py_UCS4 point)
{
    if (point < 0x80)
        return 1;
    if (point < 0x800)
        return 2;
    if (point >= 0xD800 && point <= 0xDFFF)
        return 0;
    return point < 0x10000 ? 3 : 4;
}

static inline uint8_t *encode_utf8_point(uint8_t *at, Py_UCS4 point, size_t size)
{
    static const uint8_t lead[5] = {0, 0, 0xC0, 0xE0, 0xF0};
    if (size == 1) {
        *at = (uint8_t)point;
        return at + 1;
    }
    for (size_t i = size - 1; i > 0; i--) {
        at[i] = (uint8_t)(0x80 | (point & 0x3F));
        point >>= 6;
    }
    at[0] = (uint8_t)(lead[size] | point);
    return at + size;
}

/* Length of a string in UTF-8, or -1 if it has none. */
static inline Py_ssize_t encode_utf8_length(PyObject *string)
{
    if (PyUnicode_IS_COMPACT_ASCII(string))
        return PyUnicode_GET_LENGTH(string);
#if PY_VERSION_HEX < 0x030C0000
    if (!PyUnicode_IS_READY(string)) /* made by a call that Python 3.12 removed */
        return -1;
#endif
    int kind = PyUnicode_KIND(string);
    const void *data = PyUnicode_DATA(string);
    Py_ssize_t count = PyUnicode_GET_LENGTH(string), length = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        size_t size = encode_utf8_size(PyUnicode_READ(kind, data, i));
        if (size == 0)
            return -1;
        length += (Py_ssize_t)size;
    }
    return length;
}

/* Writes a string whose length in UTF-8 is known and fits. */
static inline void encode_utf8(uint8_t *at, PyObject *string, size_t length)
{
    if (PyUnicode_IS_COMPACT_ASCII(string)) {
        msgpack_copy(at, PyUnicode_DATA(string), length);
        return;
    }
    int kind = PyUnicode_KIND(string);
    const void *data = PyUnicode_DATA(string);
    Py_ssize_t count = PyUnicode_GET_LENGTH(string);
    for (Py_ssize_t i = 0; i < count; i++) {
        Py_UCS4 point = PyUnicode_READ(kind, data, i);
        at = encode_utf8_point(at, point, encode_utf8_size(point));
    }
}

static inline enum encode_result encode_str(struct msgpack_writer *writer,
                                            PyObject *string)
{
    if (PyUnicode_IS_COMPACT_ASCII(string)) {
        ENCODE_TRY(msgpack_put_str(writer, PyUnicode_DATA(string),
                                   (size_t)PyUnicode_GET_LENGTH(string)));
        return ENCODE_OK;
    }
    Py_ssize_t length = encode_utf8_length(string);
    if (length < 0)
        return ENCODE_NOT_PLAIN;
    ENCODE_TRY(msgpack_put_str_head(writer, (size_t)length) &&
               msgpack_room(writer) >= (size_t)length);
    encode_utf8(writer->at, string, (size_t)length);
    writer->at += length;
    return ENCODE_OK;
}

/* Tells whether an exact int above INT64_MAX fits into 64 bits without a sign. The
 * call for that raises where it does not fit; these two never do. */
static inline bool encode_as_unsigned(PyObject *number, uint64_t *value)
{
#if PY_VERSION_HEX >= 0x030D0000
    Py_ssize_t size = PyLong_AsNativeBytes(number, value, sizeof *value,
                                           Py_ASNATIVEBYTES_NATIVE_ENDIAN |
                                               Py_ASNATIVEBYTES_UNSIGNED_BUFFER);
    return size >= 0 && (size_t)size <= sizeof *value;
#else
    *value = PyLong_AsUnsignedLongLongMask(number);
    return _PyLong_NumBits(number) <= 64;
#endif
}

static inline enum encode_result encode_long(struct msgpack_writer *writer,
                                             PyObject *number)
{
    int overflow;
    long long value = PyLong_AsLongLongAndOverflow(number, &overflow);
    if (overflow != 0) {
        uint64_t natural;
        if (overflow < 0 || !encode_as_unsigned(number, &natural))
            return ENCODE_NOT_PLAIN;
        ENCODE_TRY(msgpack_put_uint64(writer, natural));
        return ENCODE_OK;
    }
    ENCODE_TRY(msgpack_put_int(writer, value));
    return ENCODE_OK;
}

static enum encode_result encode_value(struct msgpack_writer *writer, PyObject *value,
                                       unsigned depth);

/* A map of metadata; `depth` counts the containers around it. */
static enum encode_result encode_map(struct msgpack_writer *writer, PyObject *map,
                                     unsigned depth)
{
    PyObject *key, *value;
    Py_ssize_t position = 0;
    enum encode_result result;
    if (depth >= RING_DEPTH_MAX)
        return ENCODE_NOT_PLAIN;
    ENCODE_TRY(msgpack_put_map(writer, (size_t)PyDict_GET_SIZE(map)));
    while (PyDict_Next(map, &position, &key, &value)) {
        if (!PyUnicode_CheckExact(key))
            return ENCODE_NOT_PLAIN;
        if ((result = encode_str(writer, key)) != ENCODE_OK ||
            (result = encode_value(writer, value, depth + 1)) != ENCODE_OK)
            return result;
    }
    return ENCODE_OK;
}

static enum encode_result encode_items(struct msgpack_writer *writer, PyObject **items,
                                       Py_ssize_t count, unsigned depth)
{
    if (depth >= RING_DEPTH_MAX)
        return ENCODE_NOT_PLAIN;
    ENCODE_TRY(msgpack_put_array(writer, (size_t)count));
    for (Py_ssize_t i = 0; i < count; i++) {
        enum encode_result result = encode_value(writer, items[i], depth + 1);
        if (result != ENCODE_OK)
            return result;
    }
    return ENCODE_OK;
}

static enum encode_result encode_container(struct msgpack_writer *writer,
                                           PyObject *value, unsigned depth)
{
    if (PyDict_CheckExact(value))
        return encode_map(writer, value, depth);
    if (PyList_CheckExact(value))
        return encode_items(writer, ((PyListObject *)value)->ob_item,
                            PyList_GET_SIZE(value), depth);
    if (PyTuple_CheckExact(value))
        return encode_items(writer, ((PyTupleObject *)value)->ob_item,
                            PyTuple_GET_SIZE(value), depth);
    return ENCODE_NOT_PLAIN;
}

static enum encode_result encode_value(struct msgpack_writer *writer, PyObject *value,
                                       unsigned depth)
{
    if (PyUnicode_CheckExact(value))
        return encode_str(writer, value);
    if (PyLong_CheckExact(value))
        return encode_long(writer, value);
    if (PyFloat_CheckExact(value)) {
        ENCODE_TRY(msgpack_put_float(writer, PyFloat_AS_DOUBLE(value)));
        return ENCODE_OK;
    }
    if (value == Py_None) {
        ENCODE_TRY(msgpack_put_nil(writer));
        return ENCODE_OK;
    }
    if (PyBool_Check(value)) {
        ENCODE_TRY(msgpack_put_bool(writer, value == Py_True));
        return ENCODE_OK;
    }
    if (PyBytes_CheckExact(value)) {
        ENCODE_TRY(msgpack_put_bin(writer, (const uint8_t *)PyBytes_AS_STRING(value),
                                   (size_t)PyBytes_GET_SIZE(value)));
        return ENCODE_OK;
    }
    return encode_container(writer, value, depth);
}

/* A map of str to int or float. */
static inline enum encode_result encode_measurements(struct msgpack_writer *writer,
                                                     PyObject *map)
{
    PyObject *key, *value;
    Py_ssize_t position = 0;
    enum encode_result result;
    if (!PyDict_CheckExact(map))
        return ENCODE_NOT_PLAIN;
    ENCODE_TRY(msgpack_put_map(writer, (size_t)PyDict_GET_SIZE(map)));
    while (PyDict_Next(map, &position, &key, &value)) {
        if (!PyUnicode_CheckExact(key))
            return ENCODE_NOT_PLAIN;
        if ((result = encode_str(writer, key)) != ENCODE_OK)
            return result;
        if (PyLong_CheckExact(value)) {
            if ((result = encode_long(writer, value)) != ENCODE_OK)
                return result;
        } else if (PyFloat_CheckExact(value)) {
            ENCODE_TRY(msgpack_put_float(writer, PyFloat_AS_DOUBLE(value)));
        } else {
            return ENCODE_NOT_PLAIN;
        }
    }
    return ENCODE_OK;
}

static inline enum encode_result encode_metadata(struct msgpack_writer *writer,
                                                 PyObject *metadata)
{
    if (metadata == Py_None) {
        ENCODE_TRY(msgpack_put_nil(writer));
        return ENCODE_OK;
    }
    return PyDict_CheckExact(metadata) ? encode_map(writer, metadata, 0)
                                       : ENCODE_NOT_PLAIN;
}

#endif
