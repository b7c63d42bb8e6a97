#include "proxy/prelude/ber.h"

enum { LONG_TAG = 0x1f, LONG_LENGTH = 0x80, LENGTH_BYTES_MAX = 4 };
enum { NUMBER_BYTES_MAX = 4, SIGN = 0x80 };

enum ber_result ber_front(struct reader *in, uint8_t *tag, size_t *length)
{
    if (in->left < 1)
        return BER_MORE;
    *tag = (uint8_t)reader_number(in, 1);
    if ((*tag & LONG_TAG) == LONG_TAG || *tag == 0)
        return BER_BAD;
    if (in->left < 1)
        return BER_MORE;
    *length = reader_number(in, 1);
    if (*length < LONG_LENGTH)
        return BER_DONE;
    size_t octets = *length - LONG_LENGTH; /* 0: indefinite */
    if (octets == 0 || octets > LENGTH_BYTES_MAX)
        return BER_BAD;
    if (in->left < octets)
        return BER_MORE;
    *length = reader_number(in, octets);
    return BER_DONE;
}

static struct reader fail(struct reader *in)
{
    in->ok = false;
    return (struct reader){.ok = false};
}

struct reader ber_element(struct reader *in, uint8_t tag)
{
    uint8_t found;
    size_t length;

    if (!in->ok || ber_front(in, &found, &length) != BER_DONE || found != tag)
        return fail(in);
    const uint8_t *content = reader_bytes(in, length);
    return content == NULL ? fail(in) : reader_of(content, length);
}

uint8_t ber_next(const struct reader *in)
{
    return in->ok && in->left > 0 ? in->at[0] : 0;
}

uint32_t ber_number(struct reader *in, uint8_t tag)
{
    struct reader content = ber_element(in, tag);

    if (!content.ok || content.left == 0 || content.left > NUMBER_BYTES_MAX ||
        (content.at[0] & SIGN) != 0) {
        in->ok = false;
        return 0;
    }
    return reader_number(&content, content.left);
}
