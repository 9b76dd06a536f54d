/* SPDX-License-Identifier: Apache-2.0
 *
 * The worker's side of the binding: the one producer of this process, and how
 * an event becomes a record in its ring. emit() and Span both end in
 * worker_record().
 *
 * THEORY OF OPERATION
 * worker_record() tries; a try either finishes (the event is recorded or
 * counted) or says what is missing: a ring, a name's id, plain arguments.
 * What is missing is made outside the try, where Python code may run, and the
 * try starts again from the fork check, because whatever ran may have forked,
 * opened a ring or retired it. Inside a try no Python code runs and nothing is
 * allocated or raised.
 */
#ifndef SHMTEL_PY_WORKER_H
#define SHMTEL_PY_WORKER_H

#include "py_binding.h"
#include "ring_producer.h"

#define WORKER_LIKELY(condition) __builtin_expect(!!(condition), 1)

/* A private page that the kernel wipes in every forked child, however it was
 * forked: `alive` then reads 0, and the child knows that the ring is not its
 * own. That costs one load, where asking for the pid costs a system call. */
struct worker_fork_page {
    uint32_t alive;
    uint32_t busy; /* inside a try, or registering a name */
};

/* Names by address. Each entry owns its string: the address of a freed one
 * would soon be another name's. */
#define WORKER_CACHE_SIZE 512u
struct worker_name {
    PyObject *name;
    uint32_t id;
};

/* What became of events that went to another backend than the ring; kept apart,
 * because the ring's counts are about the ring's events. */
struct worker_diversion {
    PyObject *deliver; /* what takes them, or NULL: events go to the ring */
    uint64_t delivered;
    uint64_t failed; /* refused by the backend */
    uint64_t dropped[RING_DROP_SLOTS];
};

struct worker {
    struct ring_producer producer;
    bool enabled;        /* of enable() and disable() */
    bool is_to_ring;     /* enabled, and nothing is diverted: the one load of emit */
    bool gave_up;        /* no ring could be made; not tried again before enable() */
    bool has_spans;      /* a span was opened in this process */
    uint64_t generation; /* advances with every ring made, left or forgotten */
    uint64_t forks;      /* of this process's ancestors that had the module */
    uint64_t random;     /* state of the span ids */
    uint64_t disabled;   /* counts without a ring; the next ring takes them over */
    uint64_t dropped[RING_DROP_SLOTS];
    uint64_t first_drop_ns; /* likewise */
    uint64_t last_drop_ns;
    uint64_t past_dropped; /* drops that are counted in rings which were left */
    struct worker_diversion diversion;
    PyObject *names;    /* dict: name -> id in this ring */
    PyObject *identity; /* what remember() was given in this process, or NULL */
    PyObject *open_ring;
    PyObject *make_plain;
    PyObject *decorate;
    PyObject *describe_error;
    PyObject *initial_word;
    PyObject *correlation_variable;
    PyObject *span_variable;
    struct worker_name cache[WORKER_CACHE_SIZE];
};

extern struct worker worker;
extern struct worker_fork_page *worker_fork_page;

enum worker_outcome {
    WORKER_ERROR = -1, /* a Python exception that is not telemetry's is set */
    WORKER_RECORDED,
    WORKER_SAMPLED_OUT,
    WORKER_FILTERED,
    WORKER_DISABLED,
    WORKER_DROPPED,
};

/* Who decides whether an event is kept: its own word, or the start of its span. */
enum worker_sampling { WORKER_BY_WORD, WORKER_KEPT, WORKER_LEFT_OUT };

/* One call, on the stack. References are borrowed, but for `plain` and
 * `context`, which worker_record() releases. */
struct worker_event {
    PyObject *name;
    PyObject *measurements; /* or NULL: one measurement, `key` and `value` */
    const char *key;
    int64_t value;
    PyObject *metadata;
    PyObject *correlation_id; /* None: take it from the context */
    uint64_t span_id;         /* 0: a plain event, its parent is in the context */
    uint64_t parent_id;
    bool has_context;      /* the context has been read, or must not be */
    uint64_t timestamp_ns; /* 0: now */
    enum worker_sampling sampling;
    bool is_start;     /* of a span; its name ends with ".start" */
    bool is_exception; /* the bad end of a span */
    bool is_for_ring;  /* whatever else is set as the backend */
    bool has_draw;
    uint32_t draw;      /* in: if has_draw */
    uint32_t threshold; /* in: of the span's start; out: the one survived */
    bool is_decided;    /* out: draw and threshold were compared */
    PyObject *plain;    /* owns what the fields above point to, once made plain */
    PyObject *context;  /* owns a correlation ID taken from the context */
};

enum worker_outcome worker_record(struct worker_event *event);

/* Records or counts an event if that takes no Python code; else returns false, and
 * nothing has happened. */
bool worker_try(struct worker_event *event);

/* In a forked child, at its first entry: forgets the ring of the parent. */
void worker_after_fork(void);

/* Lets go of names and caches; they belong to a ring. */
void worker_clear_names(void);

/* Counts what happened where there may be no ring. */
void worker_count_disabled(void);
void worker_count_dropped(enum ring_drop_reason reason, int event_id, uint64_t count);

/* Counts an event that was refused without a try, where events go at present. */
void worker_count_refused(enum ring_drop_reason reason);

/* Counts a call that is none. */
void worker_count_invalid(void);

/* To be called when `enabled` or the diversion has changed. */
void worker_choose_route(void);

uint64_t worker_clock_ns(clockid_t clock);

/* A span id: never 0, unique enough within 64 bits. */
uint64_t worker_random_id(void);

static inline void worker_check_fork(void)
{
    if (!WORKER_LIKELY(worker_fork_page->alive))
        worker_after_fork();
}

/* Whether the collector lets this process record; so it is without a ring. */
static inline bool worker_ring_is_on(void)
{
    return !ring_is_open(&worker.producer) ||
           atomic_load_explicit(&worker.producer.control->enabled,
                                memory_order_relaxed) != RING_OFF;
}

/* Whether an event that is made now belongs into the ring. */
static inline bool worker_goes_to_ring(void)
{
    worker_check_fork();
    return WORKER_LIKELY(worker.is_to_ring && worker_ring_is_on());
}

static inline bool worker_is_diverted(void)
{
    return worker.enabled && worker.diversion.deliver != NULL;
}

static inline bool worker_is_on(void)
{
    return worker_goes_to_ring() || worker_is_diverted();
}

/* Whether telemetry is off, by this process or by control; counts if so. */
static inline bool worker_is_off(void)
{
    if (WORKER_LIKELY(worker_is_on()))
        return false;
    worker_count_disabled();
    return true;
}

/* Places the arguments of a vectorcall by the names of the parameters; false for
 * a call that Python would refuse. No TypeError is made of it: a wrong call is
 * counted, like every event that is none. */
static inline bool worker_place_arguments(PyObject **values,
                                          const char *const *parameters,
                                          int parameter_count,
                                          PyObject *const *arguments, Py_ssize_t count,
                                          PyObject *keywords)
{
    if (count > parameter_count)
        return false;
    for (Py_ssize_t i = 0; i < count; i++)
        values[i] = arguments[i];
    Py_ssize_t keyword_count = keywords == NULL ? 0 : PyTuple_GET_SIZE(keywords);
    for (Py_ssize_t i = 0; i < keyword_count; i++) {
        PyObject *keyword = PyTuple_GET_ITEM(keywords, i);
        int place = parameter_count - 1;
        while (place >= 0 &&
               PyUnicode_CompareWithASCIIString(keyword, parameters[place]) != 0)
            place--;
        if (place < 0 || values[place] != NULL)
            return false;
        values[place] = arguments[count + i];
    }
    return values[0] != NULL;
}

/* Fills in what an event takes from its context: the correlation ID, unless one
 * was passed, and the span that is open there. Runs no Python code. */
void span_read_context(struct worker_event *event);

#endif
