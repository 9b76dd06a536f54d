/* SPDX-License-Identifier: Apache-2.0
 *
 * The methods of Consumer that say what drain() judges by.
 */
#include "py_consumer.h"

int consumer_to_word(PyObject *object, void *to)
{
    uint64_t value;
    if (!consumer_to_u64(object, &value))
        return 0;
    if (value > UINT32_MAX || (value > RING_THRESHOLD_MAX && value < RING_WORD_UNSET)) {
        PyErr_SetString(PyExc_ValueError, "not a threshold, nor a special word");
        return 0;
    }
    *(uint32_t *)to = (uint32_t)value;
    return 1;
}

/* What is set, as a whole or not at all. */
struct judgement {
    uint32_t count;
    uint32_t words[RING_NAMES_MAX];
    uint8_t kinds[RING_NAMES_MAX];
};

static bool take_words(struct judgement *judgement, PyObject *object)
{
    PyObject *words = PySequence_Fast(object, "words must be a sequence");
    if (words == NULL)
        return false;
    Py_ssize_t count = PySequence_Fast_GET_SIZE(words);
    bool is_good = count <= RING_NAMES_MAX;
    if (!is_good)
        PyErr_Format(PyExc_ValueError, "there are at most %d event ids",
                     (int)RING_NAMES_MAX);
    for (Py_ssize_t id = 0; is_good && id < count; id++)
        is_good = consumer_to_word(PySequence_Fast_GET_ITEM(words, id),
                                   &judgement->words[id]);
    judgement->count = (uint32_t)count;
    Py_DECREF(words);
    return is_good;
}

static bool take_kinds(struct judgement *judgement, const char *kinds, Py_ssize_t count)
{
    bool is_good = count == (Py_ssize_t)judgement->count;
    for (Py_ssize_t id = 0; is_good && id < count; id++) {
        judgement->kinds[id] = (uint8_t)kinds[id];
        is_good = judgement->kinds[id] < RING_EVENT_KINDS;
    }
    if (!is_good)
        PyErr_SetString(PyExc_ValueError, "kinds must be one known kind per word");
    return is_good;
}

PyObject *consumer_set_judgement(struct consumer *self, PyObject *arguments,
                                 PyObject *keywords)
{
    static char *names[] = {"is_on", "words", "kinds", NULL};
    int is_on;
    PyObject *words;
    const char *kinds;
    Py_ssize_t kind_count;
    struct judgement judgement;
    if (!CONSUMER_PARSE("$pOy#:set_judgement", names, &is_on, &words, &kinds,
                        &kind_count) ||
        !take_words(&judgement, words) || !take_kinds(&judgement, kinds, kind_count))
        return NULL;
    if (!consumer_is_open(self)) /* still: a sequence can run code */
        return NULL;
    ring_judge_set(&self->ring.tables->judge, is_on, judgement.count, judgement.words,
                   judgement.kinds);
    Py_RETURN_NONE;
}

static bool allow_threshold(struct consumer *self, PyObject *object)
{
    uint64_t threshold;
    if (!consumer_to_u64(object, &threshold))
        return false;
    if (threshold > RING_THRESHOLD_MAX) {
        PyErr_SetString(PyExc_ValueError, "not a threshold");
        return false;
    }
    if (!consumer_is_open(self)) /* still: an iterable can run code */
        return false;
    ring_judge_allow(&self->ring.tables->judge, (uint32_t)threshold);
    return true;
}

PyObject *consumer_allow_thresholds(struct consumer *self, PyObject *arguments,
                                    PyObject *keywords)
{
    static char *names[] = {"thresholds", NULL};
    PyObject *iterable, *item;
    if (!CONSUMER_PARSE("O:allow_thresholds", names, &iterable))
        return NULL;
    PyObject *iterator = PyObject_GetIter(iterable);
    if (iterator == NULL)
        return NULL;
    bool is_good = true;
    while (is_good && (item = PyIter_Next(iterator)) != NULL) {
        is_good = allow_threshold(self, item);
        Py_DECREF(item);
    }
    Py_DECREF(iterator);
    if (PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}
