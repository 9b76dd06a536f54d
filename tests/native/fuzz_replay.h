/* SPDX-License-Identifier: Apache-2.0
 *
 * What all fuzz targets share: the face of one, and, built with -DREPLAY, a program
 * that runs saved inputs once.
 */
#ifndef SHMTEL_FUZZ_REPLAY_H
#define SHMTEL_FUZZ_REPLAY_H

#include "ring_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

#ifdef REPLAY
int main(int count, char **paths)
{
    static uint8_t input[1 << 16];
    for (int i = 1; i < count; i++) {
        FILE *file = fopen(paths[i], "rb");
        CHECK(file != NULL);
        size_t size = fread(input, 1, sizeof input, file);
        fclose(file);
        LLVMFuzzerTestOneInput(input, size);
    }
    printf("%d inputs\n", count - 1);
    return 0;
}
#endif

#endif
