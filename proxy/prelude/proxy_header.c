#include "proxy/prelude/proxy_header.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "turbo/cursor.h"

/* "§" is of proxy-protocol.txt. */

enum { V2_SIGNATURE_BYTES = 12, V2_FIXED_BYTES = 16 }; /* §2.2 */

static const uint8_t v2_signature[V2_SIGNATURE_BYTES] = "\r\n\r\n\0\r\nQUIT\n";

enum { V2_VERSION = 2 };
enum { V2_LOCAL, V2_PROXY };
enum { V2_INET = 1, V2_INET6, V2_UNIX, V2_FAMILIES };
enum { V2_STREAM = 1, V2_DGRAM, V2_TRANSPORTS };
enum { V2_UNSPEC = 0 }; /* a family, and a transport */

/* §2.2: both addresses and, for IP, both ports. */
static const uint8_t v2_block_bytes[V2_FAMILIES] = {
    [V2_INET] = 2 * 4 + 2 * 2, [V2_INET6] = 2 * 16 + 2 * 2, [V2_UNIX] = 2 * 108};

/* §2.2.1 to §2.2.5. */
enum { TLV_ALPN = 0x01, TLV_AUTHORITY = 0x02, TLV_CRC32C = 0x03, TLV_UNIQUE_ID = 0x05 };
enum { TLV_FIXED_BYTES = 3, CRC32C_BYTES = 4 };

/* ---- CRC32C (RFC 9260, appendix A): headers are short and few, so bit by bit ---- */

static const uint32_t crc32c_polynomial = 0x82f63b78; /* its bits reversed */

static uint32_t crc32c(uint32_t crc, const uint8_t *data, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ ((crc & 1) != 0 ? crc32c_polynomial : 0);
    }
    return crc;
}

/* Of a whole header, its own bytes, at `field`, taken as zeros (§2.2.3). */
static uint32_t header_checksum(const uint8_t *header, size_t length, size_t field)
{
    static const uint8_t zeros[CRC32C_BYTES] = {0};
    size_t behind = field + CRC32C_BYTES;
    uint32_t crc = crc32c(UINT32_MAX, header, field);

    crc = crc32c(crc, zeros, sizeof(zeros));
    return ~crc32c(crc, header + behind, length - behind);
}

/* ---- reading version 1 ---- */

/* Steps over `literal`. NONE: something else is there. */
static enum proxy_header_result take(struct reader *in, const char *literal)
{
    size_t length = strlen(literal);
    size_t seen = in->left < length ? in->left : length;

    if (memcmp(in->at, literal, seen) != 0)
        return PROXY_HEADER_NONE;
    if (seen < length)
        return PROXY_HEADER_MORE;
    (void)reader_bytes(in, length);
    return PROXY_HEADER_DONE;
}

/* The same where nothing else may be. */
static enum proxy_header_result expect(struct reader *in, const char *literal)
{
    enum proxy_header_result result = take(in, literal);

    return result == PROXY_HEADER_NONE ? PROXY_HEADER_BAD : result;
}

enum { WORD_BYTES = INET6_ADDRSTRLEN };

/* Steps over a word made of `letters`, and the `stop` behind it. */
static enum proxy_header_result take_word(struct reader *in, const char *letters, char stop,
                                          char word[static WORD_BYTES])
{
    size_t length = 0;

    while (length < in->left && length < WORD_BYTES - 1 && in->at[length] != '\0' &&
           strchr(letters, in->at[length]) != NULL)
        length++;
    if (length == in->left)
        return PROXY_HEADER_MORE;
    if (length == 0 || in->at[length] != (uint8_t)stop)
        return PROXY_HEADER_BAD;
    memcpy(word, in->at, length);
    word[length] = '\0';
    (void)reader_bytes(in, length + 1);
    return PROXY_HEADER_DONE;
}

static enum proxy_header_result take_host(struct reader *in, bool v6, struct address *out)
{
    /* Dots in IPv6: mapped IPv4 is written so (RFC 5952 §5), and haproxy does. */
    const char *letters = v6 ? "0123456789abcdefABCDEF:." : "0123456789.";
    char word[WORD_BYTES];
    enum proxy_header_result result = take_word(in, letters, ' ', word);

    if (result != PROXY_HEADER_DONE)
        return result;
    if ((strchr(word, ':') != NULL) != v6 || !address_from_literal(out, word, 0))
        return PROXY_HEADER_BAD;
    return PROXY_HEADER_DONE;
}

static enum proxy_header_result take_port(struct reader *in, char stop, struct address *out)
{
    char word[WORD_BYTES];
    enum proxy_header_result result = take_word(in, "0123456789", stop, word);

    if (result != PROXY_HEADER_DONE)
        return result;
    if (word[0] == '0' && word[1] != '\0')
        return PROXY_HEADER_BAD;
    unsigned long port = strtoul(word, NULL, 10); /* ULONG_MAX when it is longer */
    if (port > UINT16_MAX)
        return PROXY_HEADER_BAD;
    address_set_port(out, (uint16_t)port);
    return PROXY_HEADER_DONE;
}

/* What follows "TCP4 " or "TCP6 ". */
static enum proxy_header_result take_ends(struct reader *in, bool v6, struct proxy_header *out)
{
    enum proxy_header_result result = take_host(in, v6, &out->client);

    if (result == PROXY_HEADER_DONE)
        result = take_host(in, v6, &out->server);
    if (result == PROXY_HEADER_DONE)
        result = take_port(in, ' ', &out->client);
    if (result == PROXY_HEADER_DONE)
        result = take_port(in, '\r', &out->server);
    return result == PROXY_HEADER_DONE ? expect(in, "\n") : result;
}

/* What follows "UNKNOWN": nothing, or a space and whatever it is up to CR and LF. A CR or LF that
 * is alone would end the line for some and not for others, so there must be none. */
static enum proxy_header_result take_unknown(struct reader *in)
{
    size_t length = 0;

    if (in->left > 0 && in->at[0] != ' ' && in->at[0] != '\r')
        return PROXY_HEADER_BAD;
    while (length < in->left && in->at[length] != '\r' && in->at[length] != '\n')
        length++;
    (void)reader_bytes(in, length);
    return expect(in, "\r\n");
}

static enum proxy_header_result take_line(struct reader *in, struct proxy_header *out)
{
    static const struct {
        const char *text;
        bool addresses, v6;
    } kinds[] = {{" TCP4 ", true, false}, {" TCP6 ", true, true}, {" UNKNOWN", false, false}};
    enum proxy_header_result result = PROXY_HEADER_NONE;

    for (size_t i = 0; result == PROXY_HEADER_NONE && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        result = take(in, kinds[i].text);
        if (result == PROXY_HEADER_DONE)
            return kinds[i].addresses ? take_ends(in, kinds[i].v6, out) : take_unknown(in);
    }
    return result == PROXY_HEADER_NONE ? PROXY_HEADER_BAD : result;
}

/* What follows "PROXY". */
static enum proxy_header_result read_v1(struct reader in, size_t taken, struct proxy_header *out)
{
    size_t room = PROXY_HEADER_V1_MAX - taken;
    bool full = in.left >= room;

    if (full)
        in.left = room;
    size_t before = in.left;
    enum proxy_header_result result = take_line(&in, out);
    out->length = taken + before - in.left;
    return result == PROXY_HEADER_MORE && full ? PROXY_HEADER_BAD : result;
}

/* ---- reading version 2 ---- */

static uint16_t number16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

/* The TLVs from `at` to `end`, of which `length` bytes are there. */
static enum proxy_header_result check_tlvs(const uint8_t *data, size_t length, size_t at,
                                           size_t end)
{
    size_t checksum = 0; /* where its value is */

    while (at < end) {
        size_t value = at + TLV_FIXED_BYTES;
        if (value > end)
            return PROXY_HEADER_BAD;
        if (value > length)
            return PROXY_HEADER_MORE;
        size_t next = value + number16(data + at + 1);
        if (next > end)
            return PROXY_HEADER_BAD;
        if (data[at] == TLV_CRC32C) {
            if (next - value != CRC32C_BYTES || checksum != 0)
                return PROXY_HEADER_BAD;
            checksum = value;
        }
        at = next;
    }
    if (length < end)
        return PROXY_HEADER_MORE;
    if (checksum == 0)
        return PROXY_HEADER_DONE;
    struct reader told = reader_of(data + checksum, CRC32C_BYTES);
    return reader_number(&told, CRC32C_BYTES) == header_checksum(data, end, checksum)
               ? PROXY_HEADER_DONE
               : PROXY_HEADER_BAD;
}

static void set_end(struct address *out, bool v6, const uint8_t *ip, const uint8_t *port)
{
    struct sockaddr_in in4 = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};

    if (v6) {
        memcpy(&in6.sin6_addr, ip, sizeof(in6.sin6_addr));
        address_from_sockaddr(out, (const struct sockaddr *)&in6, sizeof(in6));
    } else {
        memcpy(&in4.sin_addr, ip, sizeof(in4.sin_addr));
        address_from_sockaddr(out, (const struct sockaddr *)&in4, sizeof(in4));
    }
    address_set_port(out, number16(port));
}

static void set_ends(const uint8_t *block, bool v6, struct proxy_header *out)
{
    size_t ip_bytes = v6 ? 16 : 4;
    const uint8_t *ports = block + 2 * ip_bytes;

    set_end(&out->client, v6, block, ports);
    set_end(&out->server, v6, block + ip_bytes, ports + 2);
}

/* What follows the signature; `data` is the whole. */
static enum proxy_header_result read_v2(const uint8_t *data, size_t length,
                                        struct proxy_header *out)
{
    enum { VERSION_AT = V2_SIGNATURE_BYTES, FAMILY_AT, LENGTH_AT };

    if (length <= VERSION_AT)
        return PROXY_HEADER_MORE;
    unsigned command = data[VERSION_AT] & 0xf;
    if (data[VERSION_AT] >> 4 != V2_VERSION || command > V2_PROXY)
        return PROXY_HEADER_BAD;
    if (length <= FAMILY_AT)
        return PROXY_HEADER_MORE;
    unsigned family = data[FAMILY_AT] >> 4, transport = data[FAMILY_AT] & 0xf;
    if (command == V2_PROXY && (family >= V2_FAMILIES || transport >= V2_TRANSPORTS))
        return PROXY_HEADER_BAD;
    if (length < V2_FIXED_BYTES)
        return PROXY_HEADER_MORE;
    size_t end = V2_FIXED_BYTES + number16(data + LENGTH_AT);
    if (end > PROXY_HEADER_IN_MAX)
        return PROXY_HEADER_BAD;
    out->length = end;
    /* §2.2: LOCAL and UNSPEC are valid with whatever is in there, which is skipped unread. */
    if (command == V2_LOCAL || family == V2_UNSPEC || transport == V2_UNSPEC)
        return length < end ? PROXY_HEADER_MORE : PROXY_HEADER_DONE;
    size_t tlvs = V2_FIXED_BYTES + v2_block_bytes[family];
    if (tlvs > end)
        return PROXY_HEADER_BAD;
    enum proxy_header_result result = check_tlvs(data, length, tlvs, end);
    if (result == PROXY_HEADER_DONE && transport == V2_STREAM && family != V2_UNIX)
        set_ends(data + V2_FIXED_BYTES, family == V2_INET6, out);
    return result;
}

static enum proxy_header_result read_any(const uint8_t *data, size_t length,
                                         struct proxy_header *out)
{
    static const char v1_signature[] = "PROXY";
    struct reader in = reader_of(data, length);

    if (length == 0)
        return PROXY_HEADER_MORE;
    enum proxy_header_result result = take(&in, v1_signature);
    if (result == PROXY_HEADER_DONE)
        return read_v1(in, sizeof(v1_signature) - 1, out);
    if (result == PROXY_HEADER_MORE)
        return result;
    size_t seen = length < V2_SIGNATURE_BYTES ? length : V2_SIGNATURE_BYTES;
    if (memcmp(data, v2_signature, seen) != 0)
        return PROXY_HEADER_NONE;
    return read_v2(data, length, out);
}

enum proxy_header_result proxy_header_read(const uint8_t *data, size_t length,
                                           struct proxy_header *out)
{
    struct proxy_header header = {.length = 0};
    enum proxy_header_result result = read_any(data, length, &header);

    if (result == PROXY_HEADER_DONE)
        *out = header;
    return result;
}

/* ---- writing ---- */

/* AF_UNSPEC: they cannot be told. */
static int family_of(const struct proxy_facts *facts)
{
    int family = address_family(facts->client);

    return family == address_family(facts->server) ? family : AF_UNSPEC;
}

static const void *ip_of(const struct address *address)
{
    return address_family(address) == AF_INET ? (const void *)&address->v4.sin_addr
                                              : (const void *)&address->v6.sin6_addr;
}

size_t proxy_header_write_v1(const struct proxy_facts *facts,
                             uint8_t out[static PROXY_HEADER_OUT_MAX])
{
    char client[INET6_ADDRSTRLEN], server[INET6_ADDRSTRLEN];
    int family = family_of(facts);
    char *text = (char *)out;

    if (family == AF_UNSPEC)
        return (size_t)snprintf(text, PROXY_HEADER_OUT_MAX, "PROXY UNKNOWN\r\n");
    /* Not address_text: a scope has no place here. */
    inet_ntop(family, ip_of(facts->client), client, sizeof(client));
    inet_ntop(family, ip_of(facts->server), server, sizeof(server));
    return (size_t)snprintf(text, PROXY_HEADER_OUT_MAX, "PROXY %s %s %s %u %u\r\n",
                            family == AF_INET ? "TCP4" : "TCP6", client, server,
                            (unsigned)address_port(facts->client),
                            (unsigned)address_port(facts->server));
}

static void write_tlv(struct writer *w, unsigned type, const void *value, size_t length,
                      size_t length_max)
{
    if (value == NULL || length == 0 || length > length_max)
        return;
    writer_number(w, type, 1);
    writer_number(w, (uint32_t)length, 2);
    writer_bytes(w, value, length);
}

static void write_ends(struct writer *w, const struct proxy_facts *facts, int family)
{
    size_t ip_bytes = family == AF_INET ? 4 : 16;

    if (family == AF_UNSPEC)
        return;
    writer_bytes(w, ip_of(facts->client), ip_bytes);
    writer_bytes(w, ip_of(facts->server), ip_bytes);
    writer_number(w, address_port(facts->client), 2);
    writer_number(w, address_port(facts->server), 2);
}

static unsigned v2_family(int family)
{
    switch (family) {
    case AF_INET: return V2_INET << 4 | V2_STREAM;
    case AF_INET6: return V2_INET6 << 4 | V2_STREAM;
    default: return V2_UNSPEC;
    }
}

size_t proxy_header_write_v2(const struct proxy_facts *facts,
                             uint8_t out[static PROXY_HEADER_OUT_MAX])
{
    static const uint8_t zeros[CRC32C_BYTES] = {0};
    int family = family_of(facts);
    const char *name = facts->server_name;
    struct writer w = writer_of(out + V2_FIXED_BYTES, PROXY_HEADER_OUT_MAX - V2_FIXED_BYTES);

    write_ends(&w, facts, family);
    write_tlv(&w, TLV_ALPN, facts->alpn, facts->alpn_length, PROXY_HEADER_ALPN_MAX);
    write_tlv(&w, TLV_AUTHORITY, name, name != NULL ? strlen(name) : 0, PROXY_HEADER_NAME_MAX);
    write_tlv(&w, TLV_UNIQUE_ID, facts->unique_id, facts->unique_id_length,
              PROXY_HEADER_UNIQUE_ID_MAX);
    write_tlv(&w, TLV_CRC32C, zeros, sizeof(zeros), sizeof(zeros));

    size_t length = PROXY_HEADER_OUT_MAX - w.left;
    struct writer fixed = writer_of(out, V2_FIXED_BYTES);
    writer_bytes(&fixed, v2_signature, sizeof(v2_signature));
    writer_number(&fixed, V2_VERSION << 4 | V2_PROXY, 1);
    writer_number(&fixed, v2_family(family), 1);
    writer_number(&fixed, (uint32_t)(length - V2_FIXED_BYTES), 2);

    size_t checksum_at = length - CRC32C_BYTES;
    struct writer checksum = writer_of(out + checksum_at, CRC32C_BYTES);
    writer_number(&checksum, header_checksum(out, length, checksum_at), CRC32C_BYTES);
    return length;
}
