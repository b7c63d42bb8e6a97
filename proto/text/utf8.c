#include "proto/text/utf8.h"

uint32_t utf8_next(const char *bytes, size_t length, size_t *used)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    const uint8_t *at = (const uint8_t *)bytes;
    size_t count = *at < 0x80 ? 1 : *at < 0xc0 ? 0 : *at < 0xe0 ? 2 : *at < 0xf0 ? 3 : 4;
    uint32_t point = count == 1 ? *at : *at & (0x7fu >> count);

    *used = 1;
    if (count == 0 || count > length || *at > 0xf4)
        return UTF8_NOT;
    for (size_t i = 1; i < count; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return UTF8_NOT;
        point = point << 6 | (at[i] & 0x3fu);
    }
    if (point < smallest[count] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
        return UTF8_NOT;
    *used = count;
    return point;
}

size_t utf8_put(uint32_t point, char out[static UTF8_BYTES_MAX])
{
    static const uint8_t first[] = {0, 0, 0xc0, 0xe0, 0xf0};
    size_t count = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;

    for (size_t i = count - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (point & 0x3f));
        point >>= 6;
    }
    out[0] = (char)(first[count == 1 ? 0 : count] | point);
    return count;
}

bool utf8_is_printable(uint32_t point)
{
    return point >= 0x20 && (point < 0x7f || point >= 0xa0) && (point < 0x2028 || point > 0x202e) &&
           (point < 0x2066 || point > 0x2069) && point != UTF8_NOT;
}
