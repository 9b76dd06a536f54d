/* SPDX-License-Identifier: Apache-2.0
 *
 * The methods of Consumer that write: settlement and control words. They work
 * on a damaged ring too, so that its end can be settled.
 */
#include "py_consumer.h"

static PyObject *none_or_raise(struct consumer *self, enum ring_status status)
{
    if (status != RING_OK)
        return consumer_raise(self, status);
    Py_RETURN_NONE;
}

/* Fills exactly one total per outcome. */
static bool to_totals(PyObject *object, uint64_t totals[RING_OUTCOME_SLOTS])
{
    PyObject *sequence = PySequence_Fast(object, "totals must be a sequence");
    if (sequence == NULL)
        return false;
    bool is_whole = PySequence_Fast_GET_SIZE(sequence) == RING_OUTCOME_SLOTS;
    if (!is_whole)
        PyErr_Format(PyExc_ValueError, "totals must be %d numbers", RING_OUTCOME_SLOTS);
    for (Py_ssize_t i = 0; is_whole && i < RING_OUTCOME_SLOTS; i++)
        is_whole = consumer_to_u64(PySequence_Fast_GET_ITEM(sequence, i), &totals[i]);
    Py_DECREF(sequence);
    return is_whole;
}

PyObject *consumer_settle(struct consumer *self, PyObject *arguments,
                          PyObject *keywords)
{
    static char *names[] = {"position", "seq", "totals", "settled_seq", NULL};
    uint64_t position, seq, settled_seq, totals[RING_OUTCOME_SLOTS];
    PyObject *sequence, *settled = NULL;
    if (!CONSUMER_PARSE("O&O&O|O:settle", names, consumer_to_u64, &position,
                        consumer_to_u64, &seq, &sequence, &settled) ||
        !to_totals(sequence, totals))
        return NULL;
    settled_seq = seq;
    if (settled != NULL && settled != Py_None &&
        !consumer_to_u64(settled, &settled_seq))
        return NULL;
    if (!consumer_is_open(self)) /* still: a sequence can run code */
        return NULL;
    return none_or_raise(self,
                         ring_settle(&self->ring, position, seq, settled_seq, totals));
}

static PyObject *store64(struct consumer *self, _Atomic uint64_t *at, uint64_t value)
{
    return none_or_raise(self, ring_store64(&self->ring, at, value));
}

/* What a worker is told, its events may claim. */
static PyObject *store_word(struct consumer *self, _Atomic uint32_t *at, uint32_t word)
{
    ring_judge_allow(&self->ring.tables->judge, word);
    return none_or_raise(self, ring_store32(&self->ring, at, word));
}

PyObject *consumer_set_enabled(struct consumer *self, PyObject *arguments,
                               PyObject *keywords)
{
    static char *names[] = {"state", NULL};
    uint64_t value;
    if (!CONSUMER_PARSE("O&:set_enabled", names, consumer_to_u64, &value))
        return NULL;
    if (value > RING_RETIRED)
        return consumer_raise(self, RING_ERROR_ARGUMENT);
    return none_or_raise(
        self, ring_store32(&self->ring, &self->ring.control->enabled, (uint32_t)value));
}

PyObject *consumer_set_default_word(struct consumer *self, PyObject *arguments,
                                    PyObject *keywords)
{
    static char *names[] = {"word", NULL};
    uint32_t word;
    if (!CONSUMER_PARSE("O&:set_default_word", names, consumer_to_word, &word))
        return NULL;
    return store_word(self, &self->ring.control->default_word, word);
}

PyObject *consumer_set_word(struct consumer *self, PyObject *arguments,
                            PyObject *keywords)
{
    static char *names[] = {"event_id", "word", NULL};
    uint64_t id;
    uint32_t word;
    if (!CONSUMER_PARSE("O&O&:set_word", names, consumer_to_u64, &id, consumer_to_word,
                        &word))
        return NULL;
    if (id >= RING_NAMES_MAX)
        return consumer_raise(self, RING_ERROR_ARGUMENT);
    return store_word(self, &self->ring.control->word[id], word);
}

PyObject *consumer_set_sent_seq(struct consumer *self, PyObject *arguments,
                                PyObject *keywords)
{
    static char *names[] = {"seq", NULL};
    uint64_t seq;
    if (!CONSUMER_PARSE("O&:set_sent_seq", names, consumer_to_u64, &seq))
        return NULL;
    return store64(self, &self->ring.control->sent_seq, seq);
}

PyObject *consumer_set_final_tail(struct consumer *self, PyObject *arguments,
                                  PyObject *keywords)
{
    static char *names[] = {"position", NULL};
    uint64_t position;
    if (!CONSUMER_PARSE("O&:set_final_tail", names, consumer_to_u64, &position))
        return NULL;
    return none_or_raise(self, ring_set_final_tail(&self->ring, position));
}

PyObject *consumer_set_heartbeat(struct consumer *self, PyObject *arguments,
                                 PyObject *keywords)
{
    static char *names[] = {"epoch", "now_ns", NULL};
    uint64_t epoch, now;
    if (!CONSUMER_PARSE("O&O&:set_heartbeat", names, consumer_to_u64, &epoch,
                        consumer_to_u64, &now))
        return NULL;
    struct ring_control_zone *control = self->ring.control;
    enum ring_status status =
        ring_store64(&self->ring, &control->collector_epoch, epoch);
    if (status != RING_OK)
        return consumer_raise(self, status);
    return store64(self, &control->collector_heartbeat_ns, now);
}
