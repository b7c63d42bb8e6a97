/*
 * S→C bytes that were, or could be, sent as chunks, kept until a tombstone says how many chunks
 * arrived; TCP then carries on from there.
 *
 * A chunk gets its boundaries when it is first sent, and keeps them: a repeated number repeats the
 * same payload (protocol §3).
 */
#ifndef TURBO_RETAINED_H
#define TURBO_RETAINED_H

#include "turbo/turbo.h"

struct retained {
    enum turbo_dialect dialect; /* how it is cut; profile 1 unless set */
    uint8_t *buffer;            /* TURBO_STREAM_KEPT_MAX bytes, the caller's */
    uint32_t length;
    uint32_t chunk_count;
    uint32_t chunk_end[TURBO_CHUNKS_MAX];
    uint32_t record_at; /* a TLS record begins here, in what is uncut or before it */
};

void retained_init(struct retained *r, uint8_t *buffer);
/* Appends what there is room for; returns how much that was. */
size_t retained_append(struct retained *r, const uint8_t *data, size_t length);
/* Bytes not yet in a chunk. 0 as well when all chunk numbers are used up: the rest is TCP's. */
size_t retained_uncut(const struct retained *r);
/*
 * How much the next chunk would be made of, as far as bytes are there; 0: none. In the Sandwich
 * dialect it ends behind a record of type 23, unless the flight would then need too many chunks:
 * a client counts a chunk as consumed when it has used all of it (protocol §11.7c).
 */
size_t retained_next(const struct retained *r);
/* Makes the next chunk from the uncut bytes, at least one; returns its number. */
uint32_t retained_cut(struct retained *r);
/* The payload of chunk `number`, 1..chunk_count. */
const uint8_t *retained_chunk(const struct retained *r, uint32_t number, size_t *length);
/* Stream offset behind chunk `number`, 0..chunk_count. */
size_t retained_offset_after(const struct retained *r, uint32_t number);

#endif
