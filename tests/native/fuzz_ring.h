/* SPDX-License-Identifier: Apache-2.0
 *
 * What the fuzz targets that read rings share: the image of a good ring, and edits
 * of it.
 *
 * An edit is four bytes that say where (zone, offset in it, length), and the
 * bytes that are put there. So the search starts from something that is read to
 * its end, and a few edits reach every check.
 */
#ifndef SHMTEL_FUZZ_RING_H
#define SHMTEL_FUZZ_RING_H

#include "fuzz_replay.h"

#define CAPACITY (UINT64_C(64) << 10)
#define EDIT_CUT 5 /* in place of a zone: the file ends there */

static struct ring_producer producer;
static uint8_t *image; /* of the good ring */
static int segment = -1;

/* What is left of an input. */
struct input {
    const uint8_t *at;
    size_t left;
};

static void add_span_names(void)
{
    static const char *const names[] = {"op.start", "op.stop", "op.exception"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        CHECK(ring_add_name(&producer, (const uint8_t *)names[i], strlen(names[i]), 0) >
              0);
}

static void take_image(void)
{
    image = malloc(producer.geometry.file_size);
    CHECK(image != NULL);
    CHECK(pread(producer.fd, image, producer.geometry.file_size, 0) ==
          (ssize_t)producer.geometry.file_size);
    if (segment < 0)
        segment = memfd_create("fuzzed", MFD_CLOEXEC);
    CHECK(segment >= 0);
}

static void lay_image_down(void)
{
    uint64_t file_size = producer.geometry.file_size;
    CHECK(ftruncate(segment, (off_t)file_size) == 0);
    CHECK(pwrite(segment, image, file_size, 0) == (ssize_t)file_size);
}

static uint64_t zone_offset(unsigned zone)
{
    const struct ring_geometry *geometry = &producer.geometry;
    const uint64_t offsets[] = {0, geometry->page_size, geometry->control_offset,
                                geometry->names_offset, geometry->data_offset};
    return offsets[zone % (sizeof offsets / sizeof *offsets)];
}

/* Takes the head of an edit: its kind, where, and how long; false at the end. */
static bool next_edit(struct input *input, unsigned *kind, uint64_t *at, size_t *length)
{
    if (input->left <= 4)
        return false;
    *kind = input->at[0];
    *at = (uint64_t)input->at[1] | (uint64_t)input->at[2] << 8;
    *length = input->at[3] % 17;
    input->at += 4;
    input->left -= 4;
    return true;
}

/* Writes the next bytes of the input into a zone, or cuts the file. */
static void write_edit(struct input *input, unsigned zone, uint64_t at, size_t length)
{
    if (length > input->left)
        length = input->left;
    if (zone == EDIT_CUT)
        CHECK(ftruncate(segment, (off_t)(at << 2)) == 0);
    else if (length > 0)
        CHECK(pwrite(segment, input->at, length, (off_t)(zone_offset(zone) + at)) > 0);
    input->at += length;
    input->left -= length;
}

#endif
