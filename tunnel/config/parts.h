/*
 * Within tunnel/config/ only: a configuration that is being read, and its parts.
 */
#ifndef TUNNEL_CONFIG_PARTS_H
#define TUNNEL_CONFIG_PARTS_H

#include "proto/text/judge.h"
#include "tunnel/config/arena.h"
#include "tunnel/config/settings.h"
#include "turbotls/v1/tunnel.pb-c.h"

struct settings_reader {
    struct text_judge judge; /* of these errors */
    struct config_errors errors;
    struct arena *arena; /* what is read lives there */
};

/* `r` stays where it is until the end. */
void settings_begin(struct settings_reader *r, const char *name, struct arena *arena);
/* False: something was wrong or memory short, and `error`, which may be NULL, tells it all. */
bool settings_end(struct settings_reader *r, struct tunnel_error *error);

/* As text_where, in the reader's memory. */
const char *settings_where(struct settings_reader *r, const struct decode_at *at, const char *field,
                           size_t index);

/* Values of a repeated string; what is wrong with one `fault` says ("is …; write …"), or NULL. */
struct settings_names settings_names_read(struct settings_reader *r, const struct decode_at *at,
                                          const char *field, char *const *texts, size_t count,
                                          const char *(*fault)(const char *text));
/* RFC 7301: 1 to 255 bytes. */
const char *settings_alpn_fault(const char *text);

/* ---- common.c ---- */

void settings_common_read(struct settings_reader *r, const struct decode_at *at,
                          const Turbotls__V1__CommonOptions *message, struct settings *out);

/* ---- objects.c ---- */

enum object_kind { OBJECT_CERTIFICATE, OBJECT_KEY };

/* The Asn1Source `source` at `parent`, a Certificate or PrivateKey. False: said why not. */
bool settings_object_read(struct settings_reader *r, const struct decode_at *parent,
                          const Turbotls__V1__Asn1Source *source, enum object_kind kind,
                          struct settings_object *out);
struct settings_objects settings_certificates_read(struct settings_reader *r,
                                                   const struct decode_at *at, const char *field,
                                                   Turbotls__V1__Certificate *const *list,
                                                   size_t count);
/* Is there a private key in these bytes, in PEM? */
bool settings_holds_key(const void *bytes, size_t length);

#endif
