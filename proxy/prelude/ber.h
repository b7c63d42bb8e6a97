/*
 * BER as LDAP restricts it (RFC 4511 §5.1; X.690): definite lengths, of at most four octets, which
 * need not be the shortest form (Microsoft's are not); and tags of one octet.
 */
#ifndef PROXY_PRELUDE_BER_H
#define PROXY_PRELUDE_BER_H

#include "turbo/cursor.h"

enum { BER_INTEGER = 0x02, BER_OCTETS = 0x04, BER_ENUMERATED = 0x0a, BER_SEQUENCE = 0x30 };

/* The longest front of an element: tag, and length of the length with it. */
enum { BER_FRONT_BYTES_MAX = 1 + 1 + 4 };

enum ber_result { BER_MORE, BER_BAD, BER_DONE };

/*
 * Tag and length of the element at `in`, which is stepped over them. MORE: they are not all there;
 * what is, is good. The content need not be there.
 */
enum ber_result ber_front(struct reader *in, uint8_t *tag, size_t *length);

/* The content of the next element, which must be all there and have this tag; else `in` has failed,
 * and nothing can be read from either. */
struct reader ber_element(struct reader *in, uint8_t tag);

/* The tag of the next element; 0, which is none: there is nothing more. */
uint8_t ber_next(const struct reader *in);

/* INTEGER and ENUMERATED, from 0 to 2^31 - 1: any other, and `in` has failed. */
uint32_t ber_number(struct reader *in, uint8_t tag);

#endif
