/* SPDX-License-Identifier: Apache-2.0
 *
 * The layout of a shmtel ring: the binary contract between a worker and
 * everybody who reads what it emits.
 *
 * WHAT THIS IS
 * A ring is one shared-memory segment that belongs to one producing process.
 * The producer appends records, one consumer (the collector) takes them, and
 * any number of observers (`shmtel stat` and its kin) look without touching.
 * The two sides share no lock, no thread and no parent; each may die at any
 * instruction, and the other goes on. This file is all that they agree on. It
 * holds no behaviour: see ring.h for that.
 *
 * ORIENTATION
 * The producer advances `tail`, the consumer advances `head`. Positions are
 * 64-bit byte counts since the ring was made; they never wrap and are never
 * reset. `position & (capacity - 1)` is the offset in the data zone.
 * `tail - head` bytes are in use.
 *
 *      released          unread by the consumer          free
 *   ---------------|=============================|------------------
 *                 head                          tail       head + capacity
 *
 * THE FILE
 * Its name is shmtel.NAMESPACE.ID, where ID is the ring id in 32 hex digits, in POSIX
 * shared memory (on Linux /dev/shm) or in a directory of the user's choice. All
 * numbers are little-endian, but for those inside msgpack.
 *
 * Five zones, each a whole number of pages, each with ONE writer, so that each
 * side can map its own zone writable and the other's read-only:
 *
 *   offset           zone       written by              size
 *   0                identity   producer, once          1 page
 *   page             producer   producer                1 page
 *   control_offset   control    the one collector       RING_CONTROL_SIZE, in pages
 *   names_offset     names      producer, append-only   RING_NAMES_SIZE, in pages
 *   data_offset      data       producer                capacity, a power of two
 *
 * `page` is the page size of the system that made the ring and is recorded in
 * the identity. Every offset follows from page size and capacity; a reader
 * computes them, each zone behind the one before it, and refuses a ring that says
 * otherwise.
 *
 * The producer maps the data zone twice, back to back, so that a record never
 * wraps and there is no padding record. A consumer that meets the end of the
 * zone reads on at its start.
 *
 * A RECORD
 * Starts at a multiple of 8:
 *
 *   +0   u32  length      bytes of the array below, without this header or padding
 *   +4   u32  draw        the number that sampling compared with the threshold
 *   +8   msgpack array of 8; every integer of its head in full width, so that
 *        each field of the head has a constant offset:
 *
 *     +0   0x98
 *     +1   0xcd u16 BE    event id: index into the names zone
 *     +4   0xcf u64 BE    seq: 1, 2, 3 ... without gaps, advanced on commit only
 *     +13  0xcf u64 BE    timestamp, CLOCK_REALTIME ns at emit
 *     +22  0xce u32 BE    threshold that the event survived; 0 means all were kept
 *     +27  correlation id nil, or str of at most RING_CORRELATION_MAX bytes
 *     ...  measurements   map of str to int or float
 *     ...  metadata       map of str to msgpack values of bounded depth; nil if none
 *     ...  span           nil, or bin 8 of 16 bytes: span id, parent id; a plain
 *                         event inside a span has 8 zero bytes and that span's id
 *
 *   then zeros or stale bytes up to the next multiple of 8. A record, header
 *   and padding included, takes at most min(capacity / 4, 64 KiB).
 *
 * LIFE OF A RECORD, and who makes each step
 *
 *   free ---- producer encodes in place ----> encoded, invisible
 *   encoded - producer stores tail (release) -> committed
 *   committed consumer loads tail (acquire), copies, judges the copy -> drained
 *   drained - hub acknowledges, consumer writes the settlement slot,
 *             then stores head (release) ----> released, that is: free
 *
 * Nothing is visible before the store of `tail`. There is no "being written"
 * state to repair, hence no time-out and no watchdog.
 *
 * OVERFLOW
 * A ring that is full either drops the newest event (RING_DROP), or gives up the
 * oldest records for it (RING_OVERWRITE, the flight recorder). In that mode nobody
 * waits for `head`. Before it encodes, the producer moves `oldest` over whole
 * records until a record of the largest size fits between tail and
 * oldest + capacity: it stores `oldest`, fences (release), and only then writes. A
 * reader copies, fences (acquire), reads `oldest` again, and trusts nothing that it
 * has passed. It starts at max(head, oldest); the seq of the record there says how
 * many were overwritten unread: they are lost. The newest record is never given up,
 * so `oldest` equals `tail` only in a ring without records. The two are no snapshot:
 * a reader that finds `oldest` past the tail that it has read before reads both again.
 *
 * HOW TO READ
 * Whoever looks without being the consumer needs no lock and no write access. It
 * copies the parts in this order, a fence (acquire) behind each, and judges the
 * copies:
 *
 *   1. magic alone, then the identity: the major version, the geometry, and whether
 *      the file is as long as it says.
 *   2. the control zone up to `word`, twice, until slot[active_slot] is the same in
 *      both: its head is where a record starts, its head_seq the seq before it.
 *   3. `tail`, then `oldest`. Nothing is read at or behind final_tail.
 *   4. the data from max(head, oldest) to tail, in two parts where the zone ends.
 *   5. `head` and `oldest` once more: what they have passed by now may have been
 *      written over under the copy. No record below either of them is used.
 *   6. name_count, then the entries and the text. It covers every copied record.
 *
 * Where all of a copy was passed, start anew. The first record that is left is number
 * head_seq + 1 if it is the one at head, else it says its number itself, and what
 * lies between was missed. Each further one has the next number. A record is whole if
 * its length is at least RING_ARRAY_MIN, it is no larger than the largest, and it
 * ends at or before tail; it is an event if the fixed bytes of its head are there, its
 * id is below name_count, its draw not below its threshold, and the rest as above.
 * What is whole and no event is counted as rejected, and the next one follows. Where
 * one is not whole, or has another seq than is due, nothing behind it can be found.
 *
 * TRUST
 * A reader trusts nothing in here: a worker may be buggy or hostile. It copies
 * with pread() (a truncated file then gives a short read, not SIGBUS), judges
 * the copy, and never reads a shared word twice. The producer trusts `head`
 * only when tail - capacity <= head <= tail (drop mode), and words only as what they
 * are: any 32-bit value is safe to act on. Counters are for people; the records are the
 * truth, and the last seq in them is the number of committed events. A threshold is
 * believed if it is 0, the identity's initial one, or one that the collector has stored
 * as a word; observers cannot know that, and do not ask.
 *
 * CRASH STORY
 * Producer killed ...
 *   after oldest:               a few records less; nothing has been written there.
 *   before magic is stored:     the segment is not a ring; it is removed once it
 *                               is unlocked and old.
 *   while it encodes:           `tail` has not moved; the bytes are never read.
 *   after tail, before counters: the record counts; the cached counters lag by
 *                               one call. They never lead, because they are
 *                               stored after `tail`.
 *   while it registers a name:  the text is written before the entry, the entry
 *                               before `name_count` (release); a record that uses
 *                               the id comes later still.
 * Consumer killed ...
 *   before the slot index:      the old slot is in force; the events are drained
 *                               again, and the hub refuses what it already has.
 *   between slot index and head: the next consumer takes head from the slot.
 * Either side gone: the file stays until the consumer has drained it.
 *
 * LIVENESS
 * The producer holds a POSIX record lock on byte RING_LOCK_PRODUCER for life,
 * the consumer an open-file-description lock on byte RING_LOCK_CONSUMER.
 * Locks ignore the file's contents; nothing about them is in the layout.
 *
 * VERSION
 * Any change of meaning, size or order of what stands here is a new
 * RING_ABI_MAJOR; a use of reserved space that an old reader may ignore is a
 * new RING_ABI_MINOR. A reader refuses another major.
 */
#ifndef SHMTEL_RING_LAYOUT_H
#define SHMTEL_RING_LAYOUT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define RING_MAGIC UINT64_C(0x31676e69726c7473) /* the bytes "stlring1" */
#define RING_ABI_MAJOR 1
#define RING_ABI_MINOR 0

#define RING_LOCK_PRODUCER 0 /* byte offsets of the locks in the file */
#define RING_LOCK_CONSUMER 1

#define RING_CAPACITY_MIN (UINT64_C(64) << 10)
#define RING_CAPACITY_MAX (UINT64_C(1) << 30)
#define RING_PAGE_MIN 4096u
#define RING_PAGE_MAX 65536u

#define RING_RECORD_ALIGN 8u
#define RING_RECORD_MAX 65536u /* or capacity / 4, whichever is less */
#define RING_CORRELATION_MAX 128u
#define RING_DEPTH_MAX 8u /* containers inside the metadata map, itself included */

/* The names table is bounded so that no worker can make unbounded names, and
 * with them unbounded series and memory, further down the line. */
#define RING_NAMES_MAX 1024u
#define RING_NAME_LENGTH_MAX 255u

/* Words. A word is a sampling threshold: an event is kept when its draw is not
 * below it. The values from RING_WORD_UNSET up are not thresholds.
 *
 * The end of a span follows its start: it takes over draw and threshold, and of
 * its own word only RING_WORD_DENIED acts. There is one exception: where the word
 * of a span's exception is RING_WORD_KEEP_ALL in the control zone, by its own
 * word or by the default word, the exception is recorded with threshold 0, also
 * where its start was sampled out. The worker's initial word has no such say. */
#define RING_THRESHOLD_MAX 0xFFFFFFEFu /* draws are clamped to it too */
#define RING_WORD_KEEP_ALL 0u
#define RING_WORD_UNSET 0xFFFFFFFDu     /* ask the next word in the look-up */
#define RING_WORD_KEEP_NONE 0xFFFFFFFEu /* rate 0: counted as sampled_out */
#define RING_WORD_DENIED 0xFFFFFFFFu    /* counted as filtered */

enum ring_enabled { RING_OFF = 0, RING_ON = 1, RING_RETIRED = 2 };
enum ring_state { RING_LIVE = 1, RING_CLOSED = 2 };
enum ring_overflow { RING_DROP = 0, RING_OVERWRITE = 1 };

/* Why the producer refused an event before it was committed. The order is the
 * layout of `dropped` below. */
#define RING_DROP_REASONS(X)                                                           \
    X(RING_FULL, ring_full, "the ring had no room")                                    \
    X(TOO_LARGE, too_large, "the record is over min(ring / 4, 64 KiB)")                \
    X(INVALID, invalid, "the arguments are not an event")                              \
    X(NAME_TABLE_FULL, name_table_full, "1024 event names, or their text, are in use") \
    X(REENTRANT, reentrant, "emitted from inside an emit")                             \
    X(NO_RING, no_ring, "no ring could be made")

enum ring_drop_reason {
#define X(UPPER, lower, text) RING_DROP_##UPPER,
    RING_DROP_REASONS(X)
#undef X
        RING_DROP_REASON_COUNT
};
#define RING_DROP_SLOTS 8

/* What became of a committed event. The order and the numbers are those of the
 * settlement slots, and of `Outcome` in protos/shmtel/v1/uplink.proto. */
#define RING_OUTCOMES(X)                                                               \
    X(0, DELIVERED, delivered, delivered)                                              \
    X(1, SAMPLED_OUT, sampled_out_by_collector, sampled_out_by_collector)              \
    X(2, FILTERED, filtered_by_collector, filtered_by_collector)                       \
    X(3, DISABLED, disabled_by_collector, disabled_by_collector)                       \
    X(8, REJECTED_MALFORMED, rejected, malformed)                                      \
    X(9, REJECTED_UNKNOWN_NAME, rejected, unknown_name)                                \
    X(10, REJECTED_BAD_THRESHOLD, rejected, bad_threshold)                             \
    X(11, REJECTED_BY_HUB, rejected, by_hub)                                           \
    X(12, REJECTED_UNKNOWN_EVENT, rejected, unknown_event)                             \
    X(13, REJECTED_UNKNOWN_KEY, rejected, unknown_key)                                 \
    X(14, REJECTED_OVER_LIMIT, rejected, over_limit)                                   \
    X(16, LOST_QUARANTINED, lost, quarantined)                                         \
    X(17, LOST_HUB_STATE_LOST, lost, hub_state_lost)                                   \
    X(18, LOST_OVERWRITTEN, lost, overwritten)                                         \
    X(19, LOST_EVICTED, lost, evicted)                                                 \
    X(20, LOST_SPOOL_DAMAGED, lost, spool_damaged)

enum ring_outcome {
#define X(number, UPPER, word, reason) RING_OUTCOME_##UPPER = number,
    RING_OUTCOMES(X)
#undef X
};
#define RING_OUTCOME_SLOTS 32

/* Identity zone. Written once by the producer before `magic`; constant after. */
struct ring_identity {
    _Atomic uint64_t magic; /* stored last, with release: that publishes the ring */
    uint16_t abi_major;
    uint16_t abi_minor;
    uint32_t page_size;
    uint64_t capacity;  /* bytes of the data zone */
    uint64_t file_size; /* of the whole segment */
    /* The three offsets repeat what page size and capacity imply. */
    uint32_t control_offset;
    uint32_t names_offset;
    uint32_t data_offset;
    uint32_t overflow;          /* enum ring_overflow */
    uint32_t initial_threshold; /* of the worker's own configured sampling rate */
    uint32_t pid;               /* as the producer sees itself */
    uint32_t uid;
    uint32_t resource_length; /* bytes of msgpack at RING_RESOURCE_OFFSET */
    uint64_t pid_namespace;   /* inode of /proc/self/ns/pid */
    uint64_t start_time;  /* of the process: clock ticks after boot, /proc/self/stat */
    uint64_t realtime_ns; /* clock pair at creation */
    uint64_t monotonic_ns;
    uint8_t ring_id[16]; /* random */
    uint8_t boot_id[16];
    uint8_t reserved[128];
};
/* A msgpack map: worker_id, pool_name, service, worker_index (or nil), argv0,
 * python, parent_ring_id (or nil). */
#define RING_RESOURCE_OFFSET 256u
#define RING_RESOURCE_MAX (RING_PAGE_MIN - RING_RESOURCE_OFFSET)

/* Producer zone. Fields that move with every record stand two cache lines
 * apart from those that do not (adjacent-line prefetch pulls lines in pairs).
 * The consumer reads `tail`, `oldest` and `state`; all else is for people. */
struct ring_producer_zone {
    _Atomic uint64_t tail; /* release; pairs with the acquire of every reader */
    uint8_t pad0[120];
    _Atomic uint64_t oldest; /* overwrite mode: the first record that is still there;
                                relaxed, and a release fence behind it, for readers
                                that copy; 0 in drop mode */
    _Atomic uint32_t state;  /* enum ring_state; a hint about how the process ended */
    uint32_t pad1;
    _Atomic uint64_t high_water; /* most bytes in use, sampled each capacity / 16 */
    uint8_t pad2[104];
    /* Cached counters: relaxed, stored after `tail`, may lag by one call. */
    _Atomic uint64_t committed; /* equals the last seq */
    _Atomic uint64_t bytes;     /* of committed arrays */
    _Atomic uint64_t sampled_out;
    _Atomic uint64_t filtered;
    _Atomic uint64_t disabled;
    _Atomic uint64_t dropped[RING_DROP_SLOTS]; /* by enum ring_drop_reason */
    _Atomic uint64_t first_drop_ns;            /* CLOCK_REALTIME; 0: none yet */
    _Atomic uint64_t last_drop_ns;
    uint8_t reserved[136];
};

/* One settlement: what the hub has acknowledged, written as a whole into the
 * slot that is not in force. Without a spool head_seq equals settled_seq. The
 * totals sum to settled_seq. */
struct ring_settlement {
    uint64_t head;                       /* position after the last released record */
    uint64_t head_seq;                   /* seq of that record; 0: none */
    uint64_t settled_seq;                /* up to here the totals are final */
    uint64_t totals[RING_OUTCOME_SLOTS]; /* events by enum ring_outcome */
    uint64_t reserved[5];
};

/* Control zone. The producer fills it before magic (enabled 1, every word
 * unset, final_tail none); from then on only the collector writes it. */
struct ring_control_zone {
    _Atomic uint64_t head; /* release; pairs with the producer's acquire in
                              ring_refresh(): the bytes below it may be reused */
    uint8_t pad0[120];
    _Atomic uint32_t enabled;      /* enum ring_enabled; relaxed, read on each emit */
    _Atomic uint32_t default_word; /* for ids whose word is unset */
    uint8_t pad1[120];
    _Atomic uint32_t active_slot; /* 0 or 1; release, after the slot's fields */
    uint32_t pad2;
    _Atomic uint64_t sent_seq;   /* hint: last seq handed to the stream */
    _Atomic uint64_t final_tail; /* where a retired ring ends, or RING_NO_FINAL_TAIL */
    _Atomic uint64_t collector_epoch;
    _Atomic uint64_t collector_heartbeat_ns; /* CLOCK_REALTIME */
    uint8_t pad3[88];
    struct ring_settlement slot[2];
    _Atomic uint32_t word[RING_NAMES_MAX]; /* by event id; relaxed: each word is
                                              meaningful alone, so no seqlock */
};
#define RING_NO_FINAL_TAIL UINT64_MAX
#define RING_CONTROL_SIZE 5120u

/* Names zone: a header, the entries by event id, and their text. Text, then
 * entry, then name_count with release. Per-event counters as in the producer
 * zone; events refused before their name was known are in the totals only. */
struct ring_name_entry {
    uint32_t text_offset; /* into `text`; the bytes are UTF-8, verbatim, no NUL */
    uint16_t text_length;
    uint16_t pad0;
    uint32_t initial_word; /* from the worker's own configuration */
    uint32_t pad1;
    _Atomic uint64_t committed;
    _Atomic uint64_t sampled_out;
    _Atomic uint64_t filtered;
    _Atomic uint64_t dropped[3]; /* ring_full, too_large, invalid */
};
#define RING_NAMES_SIZE 131072u
#define RING_NAMES_TEXT_SIZE (RING_NAMES_SIZE - 64u - 64u * RING_NAMES_MAX)

struct ring_names_zone {
    _Atomic uint32_t name_count; /* release; pairs with the reader's acquire */
    uint32_t text_used;
    uint8_t pad0[56];
    struct ring_name_entry entry[RING_NAMES_MAX];
    uint8_t text[RING_NAMES_TEXT_SIZE];
};

struct ring_record {
    uint32_t length;
    uint32_t draw;
    uint8_t array[];
};

/* Offsets in the array of a record, see A RECORD above. */
#define RING_ARRAY_EVENT_ID 2u
#define RING_ARRAY_SEQ 5u
#define RING_ARRAY_TIMESTAMP 14u
#define RING_ARRAY_THRESHOLD 23u
#define RING_ARRAY_HEAD 27u /* bytes before the correlation id */
#define RING_ARRAY_MIN 31u  /* four one-byte fields after the head */

#define RING_ASSERT(condition) _Static_assert(condition, #condition)
RING_ASSERT(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
RING_ASSERT(sizeof(void *) == 8);
RING_ASSERT(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2);
RING_ASSERT(sizeof(_Atomic uint64_t) == 8 && sizeof(_Atomic uint32_t) == 4);
RING_ASSERT(sizeof(struct ring_identity) == RING_RESOURCE_OFFSET);
RING_ASSERT(offsetof(struct ring_identity, ring_id) == 96);
RING_ASSERT(offsetof(struct ring_producer_zone, oldest) == 128);
RING_ASSERT(offsetof(struct ring_producer_zone, committed) == 256);
RING_ASSERT(sizeof(struct ring_producer_zone) == 512);
RING_ASSERT(sizeof(struct ring_settlement) == 320);
RING_ASSERT(offsetof(struct ring_control_zone, enabled) == 128);
RING_ASSERT(offsetof(struct ring_control_zone, active_slot) == 256);
RING_ASSERT(offsetof(struct ring_control_zone, slot) == 384);
RING_ASSERT(offsetof(struct ring_control_zone, word) == 1024);
RING_ASSERT(sizeof(struct ring_control_zone) == RING_CONTROL_SIZE);
RING_ASSERT(sizeof(struct ring_name_entry) == 64);
RING_ASSERT(sizeof(struct ring_names_zone) == RING_NAMES_SIZE);
RING_ASSERT(RING_DROP_REASON_COUNT <= RING_DROP_SLOTS);
RING_ASSERT(offsetof(struct ring_record, array) == 8);

#endif
