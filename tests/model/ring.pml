/* SPDX-License-Identifier: Apache-2.0
 *
 * The protocol of a ring, for spin. One producer, one consumer that a hub
 * answers, one observer; producer and consumer are killed between any two
 * steps, and the consumer starts again.
 *
 * WHAT STANDS FOR WHAT
 * A cell is the unit of writing; a record has one or two. A cell remembers the
 * seq of the record that wrote it and which part of it it is, so that a reader
 * which puts records together from different ones is caught. `copied` and the
 * other variables of a process are private to it, as in ring_consumer.h; all
 * else is the shared memory of ring_layout.h, under its names. Each statement is
 * one access; a release is modelled by the order of statements, so the mutants
 * below, which break that order or leave out a check, must be found.
 *
 * WHAT IS CLAIMED
 *   torn        no reader ever takes a record that is not one, whole
 *   order       the hub is given seqs in order, each once; what is missing in
 *               between was overwritten, which drop mode never does
 *   ledger      in the end delivered + lost is the last seq that was published
 *   positions   head <= tail <= head + CAPACITY in drop mode
 *
 * -DOVERWRITE   the flight recorder instead of drop mode
 * -DOBSERVER    with an observer, and nobody is killed; it changes nothing, so the
 *               two need not be looked at in one run
 * Mutants: -DTAIL_FIRST (publish, then write), -DNO_LIMIT (ignore head),
 * -DOLDEST_LATE (evict after writing), -DNO_RECHECK (trust the copy),
 * -DHEAD_FIRST (head before the settlement), -DSLOT_IN_PLACE (write the slot that
 * is in force)
 */
#define CAPACITY 4 /* cells */
#define RECORD_MAX 2
#ifndef EVENTS
#define EVENTS 5
#endif
#define RESTARTS 1

/* -- shared memory --------------------------------------------------------- */

typedef Cell {
    byte seq;
    byte part; /* 0: the first cell, with the length */
    byte length
};
Cell data[CAPACITY];
byte tail, oldest, head;
typedef Slot {
    byte head, head_seq
};
Slot slot[2];
bit active_slot;

/* -- the hub, and what the claims look at ---------------------------------- */

byte hub_seq, hub_lost; /* last seq accepted; of them, never delivered */
byte published;         /* last seq whose tail was stored */
bool producer_is_gone, consumer_is_done;
bool kill_producer, kill_consumer;
byte restarts;

#define AT(position) data[(position) % CAPACITY]

/* -- producer ---------------------------------------------------------------- */

active proctype Producer() {
    byte seq = 1, length, limit, end, part, evicted;
    {
        do
        :: seq <= EVENTS ->
            if
            :: length = 1
            :: length = 2
            fi;
#ifdef OVERWRITE
            /* evict whole records until the largest fits, then say so, then write */
            evicted = oldest;
            do
            :: tail + RECORD_MAX - evicted > CAPACITY ->
                evicted = evicted + AT(evicted).length
            :: else -> break
            od;
#ifndef OLDEST_LATE
            oldest = evicted;
#endif
            limit = tail + RECORD_MAX;
#else
            limit = head + CAPACITY;
#ifdef NO_LIMIT
            limit = tail + RECORD_MAX;
#endif
#endif
            if
            :: tail + length > limit -> skip /* dropped, counted; seq stays */
            :: else ->
#ifdef TAIL_FIRST
                atomic { tail = tail + length; published = seq };
                end = tail - length;
#else
                end = tail;
#endif
                part = 0;
                do
                :: part < length ->
                    atomic {
                        AT(end + part).seq = seq;
                        AT(end + part).part = part;
                        AT(end + part).length = length;
                        part++
                    }
                :: else -> break
                od;
#ifdef OLDEST_LATE
                oldest = evicted;
#endif
#ifndef TAIL_FIRST
                atomic { tail = tail + length; published = seq };
#endif
                seq++
            fi
        :: seq <= EVENTS -> break /* it may emit less */
        :: else -> break
        od
    } unless { kill_producer };
    producer_is_gone = true
}

/* -- consumer ---------------------------------------------------------------- */

byte cursor, cursor_seq; /* private; outside so that `unless` may end it */

inline attach() {
    atomic {
        cursor = slot[active_slot].head;
        cursor_seq = slot[active_slot].head_seq
    }
}

inline settle() {
#ifdef HEAD_FIRST
    head = cursor;
#endif
#ifdef SLOT_IN_PLACE
    slot[active_slot].head = cursor;
    slot[active_slot].head_seq = cursor_seq;
#else
    slot[1 - active_slot].head = cursor;
    slot[1 - active_slot].head_seq = cursor_seq;
    active_slot = 1 - active_slot;
#endif
#ifndef HEAD_FIRST
    head = cursor
#endif
}

/* What the hub does with a segment that ends at cursor_seq: it takes what it
 * does not have yet, and counts what is missing before it as lost. */
inline deliver(seq) {
    atomic {
        if
        :: seq > hub_seq ->
#ifndef OVERWRITE
            assert(seq == hub_seq + 1); /* order */
#endif
            hub_lost = hub_lost + (seq - hub_seq - 1);
            hub_seq = seq
        :: else -> skip /* the hub has it: resent after a restart */
        fi
    }
}

active proctype Consumer() {
    byte seen, part, length, seq;
    bool is_torn;
    do
    :: {
        attach();
        head = cursor;
        do
        :: tail > cursor ->
#ifdef OVERWRITE
            if
            :: oldest > cursor -> cursor = oldest; cursor_seq = 0
            :: else -> skip
            fi;
            seen = cursor;
#endif
            length = AT(cursor).length;
            seq = AT(cursor).seq;
            is_torn = AT(cursor).part != 0 || length == 0;
            part = 1;
            do
            :: !is_torn && part < length ->
                atomic {
                    is_torn = AT(cursor + part).seq != seq ||
                              AT(cursor + part).part != part;
                    part++
                }
            :: else -> break
            od;
#ifdef OVERWRITE
#ifndef NO_RECHECK
            if
            :: oldest > cursor -> goto again /* passed under our eyes: discard */
            :: else -> skip
            fi;
#endif
#endif
            assert(!is_torn); /* torn */
            assert(cursor_seq == 0 || seq == cursor_seq + 1);
            cursor = cursor + length;
            cursor_seq = seq;
            deliver(cursor_seq);
            settle();
        again: skip
        :: producer_is_gone && tail == cursor ->
            consumer_is_done = true;
            break
        od
       } unless { kill_consumer };
       if
       :: consumer_is_done -> break
       :: else -> kill_consumer = false
       fi
    od;
    /* ledger: the last seq in the records is the number of committed events */
    assert(hub_seq == published);
#ifndef OVERWRITE
    assert(hub_lost == 0)
#endif
}

/* -- observer ---------------------------------------------------------------- */

/* Reads what it likes, also behind head, and judges afterwards whether the copy
 * can be what was there: the producer writes at most one record past tail, and one
 * that overwrites says before what it gives up. */
#ifdef OBSERVER
active proctype Observer() {
    byte position, part, length, seq, times;
    bool is_torn;
    position = head;
    do
    :: times < 2 && tail > position ->
        times++;
        length = AT(position).length;
        seq = AT(position).seq;
        is_torn = AT(position).part != 0 || length == 0;
        part = 1;
        do
        :: !is_torn && part < length ->
            atomic {
                is_torn = AT(position + part).seq != seq ||
                          AT(position + part).part != part;
                part++
            }
        :: else -> break
        od;
        if
#ifdef NO_RECHECK
        :: true ->
#elif defined(OVERWRITE)
        :: oldest <= position ->
#else
        :: position + CAPACITY >= tail + RECORD_MAX ->
#endif
            assert(!is_torn); /* torn */
            position = position + length
#ifdef OVERWRITE
        :: else -> position = oldest /* overtaken: missed, counted, on from there */
#else
        :: else -> position = tail /* lapped: missed, counted, on from a boundary */
#endif
        fi
    :: else -> break
    od
}
#endif

/* -- death ------------------------------------------------------------------- */

#ifndef OBSERVER
active proctype Fate() {
    if
    :: kill_producer = true
    :: skip
    fi;
    do
    :: restarts < RESTARTS ->
        if
        :: atomic { kill_consumer = true; restarts++ }
        :: break
        fi
    :: else -> break
    od
}
#endif

#ifndef OVERWRITE
ltl positions { [] (head <= tail && tail <= head + CAPACITY) }
#endif
