/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the reading side of the binding share: py_consumer.c,
 * py_control.c, py_judgement.c, py_schema.c, py_drained.c, py_observer.c,
 * py_follower.c, py_decoder.c and py_layout.c.
 */
#ifndef SHMTEL_PY_CONSUMER_H
#define SHMTEL_PY_CONSUMER_H

#include "py_binding.h"
#include "ring_consumer.h"

struct consumer {
    PyObject_HEAD PyObject *identity; /* NULL: never attached */
    PyObject *shapes; /* keeps what the schema of the ring points to; may be NULL */
    bool owns_fd;
    struct ring_consumer ring;
};

/* Turns a result into an exception: RingError, or ValueError for a call that
 * does not fit. Returns NULL. */
PyObject *consumer_raise(struct consumer *self, enum ring_status status);

/* False, with an exception set, once it is closed. */
bool consumer_is_open(struct consumer *self);

/* For "O&": any int from 0 to 2**64 - 1. */
int consumer_to_u64(PyObject *object, void *to);

/* For "O&": a threshold or one of the special words, none of the reserved. */
int consumer_to_word(PyObject *object, void *to);

/* Parses a method's `arguments` and `keywords`, and sees that it is open. */
#define CONSUMER_PARSE(format, names, ...)                                             \
    (PyArg_ParseTupleAndKeywords(arguments, keywords, format, names, __VA_ARGS__) &&   \
     consumer_is_open(self))

/* The methods in py_control.c, py_judgement.c and py_schema.c. */
#define CONSUMER_WRITERS(X)                                                            \
    X(settle)                                                                          \
    X(set_enabled)                                                                     \
    X(set_default_word)                                                                \
    X(set_word)                                                                        \
    X(set_sent_seq)                                                                    \
    X(set_final_tail)                                                                  \
    X(set_heartbeat)                                                                   \
    X(set_judgement)                                                                   \
    X(allow_thresholds)                                                                \
    X(set_shapes)
#define X(name)                                                                        \
    PyObject *consumer_##name(struct consumer *self, PyObject *arguments,              \
                              PyObject *keywords);
CONSUMER_WRITERS(X)
#undef X

/* The dictionaries Identity and Counters of _ring.pyi; new references. */
PyObject *binding_identity(const struct ring_identity_page *page);
PyObject *binding_counters(const struct ring_producer_zone *zone);

/* A list of the names of the ids [first, count), which have been judged. */
PyObject *binding_names(const struct ring_names_zone *names, uint32_t first,
                        uint32_t count);

/* A list of the totals by outcome. */
PyObject *binding_totals(const uint64_t totals[RING_OUTCOME_SLOTS]);

/* A Drained of one pass, whose array is `events`; a new reference. */
PyObject *binding_drained(struct binding_state *state, PyObject *events,
                          const struct ring_consumer *ring,
                          const struct ring_drained *drained);

/* Each adds its part to the module; 0, or -1 with an exception set. */
int binding_add_drained(PyObject *module, struct binding_state *state);
int binding_add_shape(PyObject *module, struct binding_state *state);
int binding_add_observer(PyObject *module);
int binding_add_follower(PyObject *module, struct binding_state *state);
int binding_add_decoder(PyObject *module, struct binding_state *state);
int binding_add_layout(PyObject *module);

/* Adds a heap type to the module and keeps a reference in `*kept`. */
int binding_add_type(PyObject *module, PyType_Spec *spec, PyTypeObject **kept);

#endif
