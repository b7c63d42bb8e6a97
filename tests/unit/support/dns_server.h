/*
 * A DNS server on 127.0.0.1 and the test's own loop. What it answers, and when, is the test's:
 *
 *   static void answer(void *owner, struct dns_message *message)
 *   {
 *       if (message->type == DNS_A)
 *           dns_put_record(message, DNS_A, 200, "\x7f\0\0\1", 4);
 *       dns_server_send(&server, message);
 *   }
 *   dns_server_start(&server, loop, answer, NULL);
 *   resolver_set_servers(resolver, server.name);
 */
#ifndef TEST_DNS_SERVER_H
#define TEST_DNS_SERVER_H

#include "tests/unit/support/check.h"

#include <ev.h>
#include <netinet/in.h>

enum { DNS_MESSAGE_MAX = 1024, DNS_NAME_MAX = 256 };
enum { DNS_A = 1, DNS_CNAME = 5, DNS_AAAA = 28, DNS_HTTPS = 65 };
enum { DNS_SERVFAIL = 2, DNS_NXDOMAIN = 3 };

/* A question, with all of its answer but the records. */
struct dns_message {
    struct sockaddr_in peer;
    char name[DNS_NAME_MAX]; /* that is asked for, as it was written: "WWW.example" */
    uint16_t type;
    size_t length;
    uint8_t bytes[DNS_MESSAGE_MAX];
};

struct dns_server {
    ev_io io;
    char name[32]; /* for resolver_set_servers */
    void (*answer)(void *owner, struct dns_message *message);
    void *owner;
};

void dns_server_start(struct dns_server *server, struct ev_loop *loop,
                      void (*answer)(void *owner, struct dns_message *message), void *owner);
void dns_server_stop(struct dns_server *server, struct ev_loop *loop);
/* The message may be a copy, and of long ago. */
void dns_server_send(const struct dns_server *server, const struct dns_message *message);

void dns_set_rcode(struct dns_message *message, uint8_t rcode);
/* Sections as they go over the wire, with so many records in them. */
void dns_put(struct dns_message *message, uint8_t answers, uint8_t authorities, const void *bytes,
             size_t length);
/* One record of the answer, at the question's name. */
void dns_put_record(struct dns_message *message, uint16_t type, uint8_t ttl, const void *data,
                    size_t length);
/* At another; `owner` is as it goes over the wire. */
void dns_put_record_at(struct dns_message *message, const void *owner, size_t owner_length,
                       uint16_t type, uint8_t ttl, const void *data, size_t length);

#endif
