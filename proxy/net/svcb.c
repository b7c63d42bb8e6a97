#include "proxy/net/svcb.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "tunnel/net/address.h"
#include "turbo/cursor.h"

enum { TYPE_CNAME = 5, TYPE_SOA = 6, CLASS_IN = 1 };
enum { FLAG_RESPONSE = 0x8000, MASK_OPCODE = 0x7800, FLAG_TRUNCATED = 0x0200, MASK_RCODE = 0xf };
enum { RCODE_NOERROR = 0, RCODE_NXDOMAIN = 3 };
enum { NAME_MAX_BYTES = 255, LABEL_MAX_BYTES = 63, SOA_NUMBERS_BYTES = 20 };

/* SvcParamKeys, RFC 9460 §14.3.2. */
enum {
    KEY_MANDATORY,
    KEY_ALPN,
    KEY_NO_DEFAULT_ALPN,
    KEY_PORT,
    KEY_IPV4HINT,
    KEY_ECH,
    KEY_IPV6HINT
};

/* As on the wire without compression, in small letters; length 0: none. */
struct name {
    uint8_t bytes[NAME_MAX_BYTES];
    size_t length;
};

struct message {
    const uint8_t *start;
    struct reader reader;
    uint16_t tcp_port;
    struct name question, owner /* where the CNAMEs have led */, host;
    uint32_t ttl_s;
    size_t found;      /* HTTPS records */
    bool none_counts;  /* one is broken, or an alias */
    uint16_t priority; /* of the one taken */
    struct svcb *out;
};

struct record {
    struct name owner;
    uint16_t type;
    uint32_t ttl_s;
    struct reader data;
};

static bool same_name(const struct name *a, const struct name *b)
{
    return a->length == b->length && memcmp(a->bytes, b->bytes, a->length) == 0;
}

static bool add_label(struct name *name, const uint8_t *bytes, size_t length)
{
    if (bytes == NULL || name->length + 1 + length > sizeof(name->bytes))
        return false;
    name->bytes[name->length++] = (uint8_t)length;
    for (size_t i = 0; i < length; i++)
        name->bytes[name->length++] = (uint8_t)tolower(bytes[i]);
    return true;
}

/* A name that ends within `r`. `start`: of the message, which pointers count from; NULL: there are
 * none (RFC 9460 §2.2). Each must point before the place the last one did, so that they come to an
 * end. */
static bool read_name(struct reader *r, const uint8_t *start, struct name *name)
{
    struct reader at = *r;
    size_t limit = start == NULL ? 0 : (size_t)(r->at - start);
    bool jumped = false;

    name->length = 0;
    for (;;) {
        size_t length = reader_number(&at, 1);

        if (length > LABEL_MAX_BYTES) {
            size_t target = (length & ~(size_t)0xc0) << 8 | reader_number(&at, 1);

            if (!at.ok || length < 0xc0 || target >= limit)
                return false;
            if (!jumped)
                *r = at;
            jumped = true;
            at = reader_of(start + target, limit - target);
            limit = target;
            continue;
        }
        if (!add_label(name, reader_bytes(&at, length), length))
            return false;
        if (length == 0)
            break;
    }
    if (!jumped)
        *r = at;
    return true;
}

/* The one asked for, less _PORT._https. */
static bool host_of(const struct name *question, uint16_t tcp_port, struct name *host)
{
    size_t skip = 0;

    for (int i = 0; i < 2 && tcp_port != SVCB_UNPREFIXED_PORT; i++) {
        if (question->bytes[skip] == 0)
            return false;
        skip += 1u + question->bytes[skip];
    }
    host->length = question->length - skip;
    memcpy(host->bytes, question->bytes + skip, host->length);
    return true;
}

static bool read_question(struct message *m)
{
    uint32_t type, class;

    if (!read_name(&m->reader, m->start, &m->question))
        return false;
    type = reader_number(&m->reader, 2);
    class = reader_number(&m->reader, 2);
    m->owner = m->question;
    return m->reader.ok && type == SVCB_TYPE_HTTPS && class == CLASS_IN &&
           host_of(&m->question, m->tcp_port, &m->host);
}

static bool read_record(struct message *m, struct record *record)
{
    uint32_t class, length;
    const uint8_t *data;

    if (!read_name(&m->reader, m->start, &record->owner))
        return false;
    record->type = (uint16_t)reader_number(&m->reader, 2);
    class = reader_number(&m->reader, 2);
    record->ttl_s = reader_number(&m->reader, 4);
    if (record->ttl_s >> 31 != 0) /* RFC 2181 §8 */
        record->ttl_s = 0;
    length = reader_number(&m->reader, 2);
    data = reader_bytes(&m->reader, length);
    if (data == NULL)
        return false;
    record->data = reader_of(data, length);
    if (class != CLASS_IN)
        record->type = 0;
    return true;
}

/* ---- one record ---- */

/* What its SvcParams say. */
struct service {
    uint64_t keys;     /* those below 64 that are there */
    bool turbo_key;    /* key65480, which is above */
    bool unknown_need; /* a mandatory key that we do not know */
    struct reader mandatory;
    bool turbo;
    uint16_t udp_port, port /* 0: none named */;
};

static bool has_key(const struct service *service, uint32_t key)
{
    return key == SVCB_KEY_TURBO ? service->turbo_key : key < 64 && service->keys >> key & 1;
}

/* Other values are as if the key were absent. */
static void take_turbo(struct service *service, struct reader value, uint16_t tcp_port)
{
    size_t length = value.left;
    uint16_t port = length == 2 ? (uint16_t)reader_number(&value, 2) : tcp_port;

    service->turbo_key = true;
    service->turbo =
        length == 0 || (length == 2 && (port == tcp_port || port >= SVCB_UDP_PORT_MIN));
    service->udp_port = port;
}

/* A list of texts with one byte for each length, none of them empty. */
static bool is_alpn(struct reader value)
{
    bool any = false;

    while (value.ok && value.left > 0) {
        size_t length = reader_number(&value, 1);

        any = length > 0;
        if (!any || reader_bytes(&value, length) == NULL)
            return false;
    }
    return any;
}

/* False: the value is none that this key may have. */
static bool take_value(struct service *service, uint32_t key, struct reader value,
                       uint16_t tcp_port)
{
    size_t length = value.left;

    switch (key) {
    case KEY_MANDATORY: service->mandatory = value; return length > 0;
    case KEY_ALPN: return is_alpn(value);
    case KEY_NO_DEFAULT_ALPN: return length == 0;
    case KEY_PORT: service->port = (uint16_t)reader_number(&value, 2); return length == 2;
    case KEY_IPV4HINT: return length > 0 && length % 4 == 0;
    case KEY_IPV6HINT: return length > 0 && length % 16 == 0;
    case SVCB_KEY_TURBO: take_turbo(service, value, tcp_port); return true;
    default: return true;
    }
}

/* False: the list is broken (RFC 9460 §8). A demand for ECH is the client's to meet, and we cannot
 * tell whether it does: not known. */
static bool check_mandatory(struct service *service)
{
    struct reader list = service->mandatory;
    uint32_t before = KEY_MANDATORY; /* which is not to be listed itself */

    while (list.left > 0) {
        uint32_t key = reader_number(&list, 2);

        if (key <= before || (!has_key(service, key) && (key < 64 || key == SVCB_KEY_TURBO)))
            return false;
        if (key == KEY_ECH || (key > KEY_IPV6HINT && key != SVCB_KEY_TURBO))
            service->unknown_need = true;
        before = key;
    }
    return true;
}

/* False: the record is broken. */
static bool read_params(struct reader *r, uint16_t tcp_port, struct service *service)
{
    int64_t before = -1;

    while (r->left > 0) {
        uint32_t key = reader_number(r, 2), length = reader_number(r, 2);
        const uint8_t *value = reader_bytes(r, length);

        if (value == NULL || key <= before ||
            !take_value(service, key, reader_of(value, length), tcp_port))
            return false;
        if (key < 64)
            service->keys |= UINT64_C(1) << key;
        before = key;
    }
    if (has_key(service, KEY_NO_DEFAULT_ALPN) && !has_key(service, KEY_ALPN))
        return false; /* RFC 9460 §7.1.1 */
    return check_mandatory(service);
}

/* The connection goes to the host's addresses: is that where the record says the service is? */
static bool leads_there(const struct message *m, const struct name *target)
{
    const struct name *there = target->length == 1 ? &m->owner : target; /* ".": its owner */

    if (same_name(there, &m->host) || same_name(there, &m->question))
        return true;
    /* The host's addresses are behind the same CNAMEs, but not those of _PORT._https.HOST. */
    return m->tcp_port == SVCB_UNPREFIXED_PORT && same_name(there, &m->owner);
}

/* A record of the right name. */
static void take_https(struct message *m, struct reader *data)
{
    struct service service = {.mandatory = reader_of(NULL, 0)};
    uint16_t priority = (uint16_t)reader_number(data, 2);
    struct name target;

    m->found++;
    if (!data->ok || !read_name(data, NULL, &target) || priority == 0 ||
        !read_params(data, m->tcp_port, &service)) {
        m->none_counts = true;
        return;
    }
    if (!service.turbo || service.unknown_need || !leads_there(m, &target) ||
        (has_key(&service, KEY_PORT) && service.port != m->tcp_port) ||
        (m->out->turbo && priority >= m->priority))
        return;
    m->priority = priority;
    m->out->turbo = true;
    m->out->udp_port = service.udp_port;
}

/* ---- all of them ---- */

static void believe_for(struct message *m, uint32_t ttl_s)
{
    m->ttl_s = ttl_s < m->ttl_s ? ttl_s : m->ttl_s;
}

/* Servers write CNAMEs in the order in which they lead on (RFC 1034 §4.3.2). */
static bool take_answer(struct message *m, struct record *record)
{
    struct name target;

    if (!same_name(&record->owner, &m->owner))
        return true;
    if (record->type == SVCB_TYPE_HTTPS) {
        believe_for(m, record->ttl_s);
        take_https(m, &record->data);
    } else if (record->type == TYPE_CNAME) {
        /* Its data may be compressed, and points into the message before it. */
        if (!read_name(&record->data, m->start, &target))
            return false;
        believe_for(m, record->ttl_s);
        m->owner = target;
    }
    return true;
}

/* The SOA of an answer without the record: for how long there is none. */
static bool take_soa(struct message *m, struct record *record, bool *has_soa)
{
    struct name primary, mailbox;

    if (record->type != TYPE_SOA)
        return true;
    if (!read_name(&record->data, m->start, &primary) ||
        !read_name(&record->data, m->start, &mailbox) || record->data.left != SOA_NUMBERS_BYTES)
        return false;
    (void)reader_bytes(&record->data, SOA_NUMBERS_BYTES - 4); /* serial, refresh, retry, expire */
    believe_for(m, record->ttl_s);
    believe_for(m, reader_number(&record->data, 4));
    *has_soa = true;
    return true;
}

static bool read_sections(struct message *m, size_t answers, size_t authorities)
{
    struct record record;
    bool has_soa = false;

    for (size_t i = 0; i < answers + authorities; i++) {
        if (!read_record(m, &record) ||
            !(i < answers ? take_answer(m, &record) : take_soa(m, &record, &has_soa)))
            return false;
        if (i + 1 == answers && m->found > 0)
            return true;
    }
    if (!has_soa)
        m->ttl_s = 0;
    return true;
}

bool svcb_read(const uint8_t *message, size_t length, uint16_t tcp_port, struct svcb *out)
{
    struct message m = {.start = message,
                        .reader = reader_of(message, length),
                        .tcp_port = tcp_port,
                        .ttl_s = UINT32_MAX,
                        .out = out};
    uint32_t flags, questions;
    size_t answers, authorities;
    bool read;

    *out = (struct svcb){.turbo = false};
    (void)reader_number(&m.reader, 2); /* its id */
    flags = reader_number(&m.reader, 2);
    questions = reader_number(&m.reader, 2);
    answers = reader_number(&m.reader, 2);
    authorities = reader_number(&m.reader, 2);
    (void)reader_number(&m.reader, 2); /* of additional records */
    read = m.reader.ok &&
           (flags & (FLAG_RESPONSE | MASK_OPCODE | FLAG_TRUNCATED)) == FLAG_RESPONSE &&
           ((flags & MASK_RCODE) == RCODE_NOERROR || (flags & MASK_RCODE) == RCODE_NXDOMAIN) &&
           questions == 1 && answers + authorities <= SVCB_RECORDS_MAX && read_question(&m) &&
           read_sections(&m, answers, authorities);
    if (!read || m.none_counts)
        *out = (struct svcb){.turbo = false};
    if (read)
        out->ttl_s = m.ttl_s;
    return read;
}

/* ---- the question ---- */

static bool may_have_record(const char *host)
{
    static const char onion[] = ".onion";
    size_t length = strlen(host);
    struct address literal;

    if (length > 0 && host[length - 1] == '.')
        length--;
    return memchr(host, '.', length) != NULL && !address_from_literal(&literal, host, 0) &&
           (length < strlen(onion) ||
            strncasecmp(host + length - strlen(onion), onion, strlen(onion)) != 0);
}

bool svcb_query_name(const char *host, uint16_t tcp_port, char name[static SVCB_NAME_BYTES])
{
    int length = tcp_port == SVCB_UNPREFIXED_PORT ? snprintf(name, SVCB_NAME_BYTES, "%s", host)
                                                  : snprintf(name, SVCB_NAME_BYTES, "_%u._https.%s",
                                                             (unsigned int)tcp_port, host);

    return may_have_record(host) && length > 0 && length < SVCB_NAME_BYTES;
}
