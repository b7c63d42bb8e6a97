/*
 * Is the TLS server's flight complete? Its records tell, mostly, without a key: a flight ends with
 * a TLS 1.3 Finished, whose encrypted length is known, with ServerHelloDone or a Finished behind
 * ChangeCipherSpec in TLS 1.2, or with an alert (RFC 9846 §4 and §5, RFC 5246 §7).
 *
 * Only a hint, for sending sooner: TLS stacks that put several messages into one record are not
 * recognized, and another record may have the length of a Finished.
 */
#ifndef TURBO_FLIGHT_END_H
#define TURBO_FLIGHT_END_H

#include "turbo/turbo.h"

enum { FLIGHT_RECORD_HEADER_BYTES = 5, FLIGHT_TAIL_BYTES = 4 };

/* All zero: nothing has come. */
struct flight_end {
    uint8_t header[FLIGHT_RECORD_HEADER_BYTES];
    uint8_t header_bytes;
    uint8_t type_before;             /* of the record before this one; 0: none */
    uint8_t tail[FLIGHT_TAIL_BYTES]; /* the last bytes of this record's payload so far */
    uint32_t payload_left;
};

/* The next bytes of the stream. True: they end where a flight ends. */
bool flight_end_push(struct flight_end *flight, const uint8_t *data, size_t length);

#endif
